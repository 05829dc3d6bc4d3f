// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A back end that is silent, slow, wrong or gone, at each request of each step: the call ends in
 * time, says why, and the vas goes on without it. No fd of its is kept.
 */
#include "tests/consumer/vhost_user/fixture.h"

static const uint32_t requests[] = {
	VHOST_USER_GET_FEATURES,
	VHOST_USER_GET_PROTOCOL_FEATURES,
	VHOST_USER_SET_PROTOCOL_FEATURES,
	VHOST_USER_SET_OWNER,
	VHOST_USER_GET_QUEUE_NUM,
	VHOST_USER_GET_MAX_MEM_SLOTS,
	VHOST_USER_GET_CONFIG,
	VHOST_USER_ADD_MEM_REG,
	VHOST_USER_SET_FEATURES,
	VHOST_USER_GET_INFLIGHT_FD,
	VHOST_USER_SET_INFLIGHT_FD,
	VHOST_USER_SET_VRING_NUM,
	VHOST_USER_SET_VRING_BASE,
	VHOST_USER_SET_VRING_ADDR,
	VHOST_USER_SET_VRING_CALL,
	VHOST_USER_SET_VRING_KICK,
	VHOST_USER_SET_VRING_ENABLE,
	VHOST_USER_GET_VRING_BASE,
	VHOST_USER_REM_MEM_REG,
	VHOST_USER_SET_LOG_BASE,
};

#define NR_REQUESTS (sizeof(requests) / sizeof(requests[0]))

/* All that a guest and its owner do: none of it waits for longer than messages may take. */
static void do_everything(void)
{
	struct vas_vhost_user_options options = front_options();
	struct vas_tracker *tracker;
	uint64_t id = 0, page = 64;
	uint8_t bytes[4];
	uint32_t base;

	options.timeout_ns = 0;
	vas = simple_vas();
	simple_add(vas, 0, 32);
	if (vas_vhost_user_attach(vas, fake.peer, &options, &front)) {
		CHECK(vas_error()[0]);
		vas_destroy(vas);
		return;
	}
	make_events();
	server()->ops->start(server(), DRIVER_WANTED);
	if (start_queue(0))
		CHECK_HAS(vas_error(), "disk");
	start_queue(1);
	/* What is refused once is not refused twice: there is nobody any more who could. */
	for (int i = 0; !id && i < 2; i++) {
		struct vas_region region = simple_region(page, 4);

		if (vas_region_add(vas, &region, &id))
			CHECK_HAS(vas_error(), "disk");
	}
	CHECK(id);
	if (vas_freeze(vas, 7 * 1000000000ull, NULL))
		CHECK_OK(vas_freeze(vas, 7 * 1000000000ull, NULL));
	CHECK_OK(vas_thaw(vas));
	/* It has one second for each try, and the back end five for each message. */
	for (int i = 0; vas_tracker_attach(vas, "test", 0, &tracker); i++)
		CHECK(i < 8);
	vas_tracker_detach(tracker);
	for (int i = 0; vas_region_remove(vas, id); i++)
		CHECK(i < 8);
	server()->ops->config_read(server(), 0, bytes, 4);
	server()->ops->queue_stop(server(), 0, &base);
	server()->ops->reset(server());
	vas_vhost_user_detach(front);
	vas_destroy(vas);
}

/* Those that nobody asked for may be closed by a thread. */
static int has_nr_fds(void *arg)
{
	return test_count_fds() == *(int *)arg;
}

static void try_fault(uint32_t request, enum fault fault)
{
	int nr_fds = test_count_fds();

	fake_init(&fake);
	fake_begin(&fake);
	fake_fault(&fake, request, fault);
	test_note("request %u, fault %d", request, fault);
	do_everything();
	fake_end(&fake);
	CHECK(fake_count(&fake, request));
	for (int i = 0; i < 2; i++) {
		if (kick_fd[i])
			close(kick_fd[i]);
		if (call_fd[i])
			close(call_fd[i]);
		kick_fd[i] = call_fd[i] = 0;
	}
	/* Those that the fake has kept: eventfds and the file of requests in flight. */
	for (int i = 0; i < FAKE_MAX_QUEUES; i++) {
		if (fake.queues[i].kick_fd > 0)
			close(fake.queues[i].kick_fd);
		if (fake.queues[i].call_fd > 0)
			close(fake.queues[i].call_fd);
	}
	if (fake.inflight_fd >= 0)
		close(fake.inflight_fd);
	test_wait(has_nr_fds, &nr_fds, TEST_HANG_MS);
}

static void try_everywhere(enum fault fault)
{
	for (size_t i = 0; i < NR_REQUESTS; i++)
		try_fault(requests[i], fault);
}

TEST(an_answer_to_another_request)
{
	try_everywhere(FAULT_OTHER);
}

TEST(an_answer_that_is_too_short)
{
	try_everywhere(FAULT_SHORT);
}

TEST(an_answer_of_a_gigabyte)
{
	try_everywhere(FAULT_LONG);
}

TEST(an_answer_with_fds)
{
	try_everywhere(FAULT_FDS);
}

TEST(an_answer_that_comes_twice)
{
	try_everywhere(FAULT_TWICE);
}

TEST(an_answer_that_is_a_request)
{
	try_everywhere(FAULT_NOT_REPLY);
}

TEST(a_refusal)
{
	try_everywhere(FAULT_REFUSE);
}

TEST(the_end_in_place_of_an_answer)
{
	try_everywhere(FAULT_CLOSE);
}

TEST(the_end_in_the_middle_of_an_answer)
{
	try_everywhere(FAULT_HALF);
}

/* Five seconds each: at some. */
TEST(no_answer_at_all)
{
	static const uint32_t some[] = {
		VHOST_USER_GET_FEATURES,   VHOST_USER_ADD_MEM_REG, VHOST_USER_SET_VRING_ADDR,
		VHOST_USER_GET_VRING_BASE, VHOST_USER_REM_MEM_REG, VHOST_USER_SET_LOG_BASE,
	};

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		try_fault(some[i], FAULT_SILENT);
}

TEST(an_answer_byte_by_byte)
{
	try_fault(VHOST_USER_GET_CONFIG, FAULT_DRIBBLE);
	try_fault(VHOST_USER_GET_VRING_BASE, FAULT_DRIBBLE);
}

TEST(a_place_where_no_queue_stands)
{
	fake_init(&fake);
	begin();
	start();
	fake_fault(&fake, VHOST_USER_GET_VRING_BASE, FAULT_WRONG_BASE);
	CHECK_EQ(vas_freeze(vas, TEST_HANG_NS, NULL), -EPROTO);
	CHECK_STR(vas_error(), "disk: the back end says that queue 0 stands at 0x10000");
	CHECK_EQ(vas_vhost_user_status(front), -EPROTO);
	finish();
}

TEST(a_silent_one_is_named_at_the_deadline_of_a_change)
{
	struct vas_blocker blocker;
	struct vas_layout *layout;
	struct vas_region more = simple_region(64, 4);

	front_timeout_ns = 0;
	fake_init(&fake);
	begin();
	start();
	fake_fault(&fake, VHOST_USER_ADD_MEM_REG, FAULT_SILENT);
	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_add(layout, &more, NULL));
	CHECK_EQ(vas_layout_commit(layout, 50000000, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_CONSUMER);
	CHECK_STR(blocker.name, "disk");
	CHECK_EQ(vas_region_at(vas, 64 * PAGE, &more), -ENOENT);
	finish();
}

TEST(a_back_end_that_takes_nothing_from_its_socket)
{
	struct vas_vhost_user_options options = front_options();
	int pair[2];

	options.timeout_ns = 50000000;
	vas = simple_vas();
	simple_add(vas, 0, 32);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	CHECK_EQ(vas_vhost_user_attach(vas, pair[0], &options, &front), -ETIMEDOUT);
	CHECK_STR(vas_error(), "disk: the back end does not answer request 1");
	vas_destroy(vas);
}

/* Until nothing more has room. */
static void fill(int sock)
{
	const char bytes[256] = { 0 };

	while (send(sock, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	CHECK_EQ(errno, EAGAIN);
}

static void drain(int sock)
{
	char bytes[4096];

	while (recv(sock, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

/*
 * Its socket is full when it is told of a log, which is closed before there is room: the fd that
 * waits to be sent is not that number, which may be any file's by then.
 */
TEST(a_file_that_waits_to_be_sent_may_be_closed)
{
	struct vas_tracker *tracker;

	fake_init(&fake);
	begin();
	CHECK_OK(server()->ops->start(server(), DRIVER_WANTED));
	fake_fault(&fake, VHOST_USER_SET_FEATURES, FAULT_DEAF);
	SERVE_UNTIL(fake_count(&fake, VHOST_USER_SET_FEATURES));
	fill(fake.peer);
	CHECK_EQ(vas_tracker_attach(vas, "test", 0, &tracker), -EBUSY);
	CHECK_OK(vas_vhost_user_status(front));
	drain(fake.sock);
	CHECK_OK(vas_vhost_user_serve(front));
	shutdown(fake.sock, SHUT_RDWR);
	fake_fault(&fake, 0, FAULT_NONE);
	finish();
}
