// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a front end may send that is no message, and how it may send one that is. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/vas.h>

#include "device/vhost_user/message.h"
#include "harness.h"
#include "tests/device/await_message.h"
#include "tests/device/front_end.h"

static struct front_end front;
static int back;
static struct vhost_user_message message;

static void connect_pair(void)
{
	int pair[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	front.sock = pair[0];
	back = pair[1];
}

/* One that is closed at once: for others a thread waits. */
static int sample_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("sample", MFD_CLOEXEC);
	CHECK(fd >= 0);
	return fd;
}

static void send_fds(uint32_t request, uint32_t size, uint32_t nr_fds)
{
	char payload[512] = { 0 };
	int fds[64] = { 0 };

	for (uint32_t i = 0; i < nr_fds; i++)
		fds[i] = sample_fd();
	CHECK_OK(front_end_send(&front, request, 0, payload, size, fds, nr_fds));
}

/* Nothing of it is kept. */
static void is_refused(const char *why)
{
	int nr_fds = test_count_fds();

	CHECK_EQ(await_message(back, &message), -EPROTO);
	CHECK_HAS(vas_error(), why);
	CHECK_EQ(message.nr_fds, 0);
	CHECK_EQ(test_count_fds(), nr_fds);
	close(front.sock);
	close(back);
}

TEST(a_message_comes_with_its_fds)
{
	connect_pair();
	send_fds(VHOST_USER_SET_VRING_KICK, 8, 1);
	CHECK_OK(await_message(back, &message));
	CHECK_EQ(message.request, VHOST_USER_SET_VRING_KICK);
	CHECK_EQ(message.size, 8);
	CHECK_EQ(message.nr_fds, 1);
	CHECK(fcntl(message.fds[0], F_GETFD) & FD_CLOEXEC);
	vhost_user_close_fds(&message);
}

TEST(what_is_no_request_is_refused)
{
	static const uint32_t requests[] = { 0, 4242, UINT32_MAX, 23, 28, 35 };

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		connect_pair();
		send_fds(requests[i], 0, 0);
		is_refused("which was not offered");
	}
}

TEST(a_wrong_size_is_refused)
{
	static const uint32_t cases[][2] = {
		{ VHOST_USER_SET_FEATURES, 4 },	    { VHOST_USER_SET_FEATURES, 16 },
		{ VHOST_USER_SET_MEM_TABLE, 0 },    { VHOST_USER_SET_MEM_TABLE, 265 },
		{ VHOST_USER_SET_VRING_ADDR, 39 },  { VHOST_USER_SET_OWNER, 1 },
		{ VHOST_USER_GET_CONFIG, 11 },	    { VHOST_USER_SET_LOG_BASE, 8 },
		{ VHOST_USER_GET_INFLIGHT_FD, 12 }, { VHOST_USER_ADD_MEM_REG, 32 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		connect_pair();
		send_fds(cases[i][0], cases[i][1], 0);
		is_refused("bytes, not");
	}
}

TEST(a_size_that_nothing_has_is_refused_before_it_comes)
{
	static const uint32_t sizes[] = { 269, 1 << 20, 0x7fffffff, UINT32_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t head[] = { VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, sizes[i] };

		connect_pair();
		CHECK_EQ(send(front.sock, head, sizeof(head), 0), (ssize_t)sizeof(head));
		is_refused("says that a message has");
	}
}

TEST(other_versions_and_answers_are_refused)
{
	static const uint32_t flags[] = { 0, 2, 3, 1 | VHOST_USER_IS_REPLY };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		uint32_t head[] = { VHOST_USER_GET_FEATURES, flags[i], 0 };

		connect_pair();
		CHECK_EQ(send(front.sock, head, sizeof(head), 0), (ssize_t)sizeof(head));
		is_refused("are no request's");
	}
}

TEST(more_fds_than_a_request_has_are_closed)
{
	static const uint32_t nr[] = { 2, 8, 9, 16, 17, 64 };

	for (size_t i = 0; i < sizeof(nr) / sizeof(nr[0]); i++) {
		connect_pair();
		send_fds(VHOST_USER_SET_VRING_KICK, 8, nr[i]);
		is_refused("fds");
	}
	connect_pair();
	send_fds(VHOST_USER_GET_FEATURES, 0, 1);
	is_refused("fds");
}

TEST(a_message_may_come_byte_by_byte)
{
	uint32_t words[] = { VHOST_USER_SET_VRING_NUM, VHOST_USER_VERSION, 8, 3, 128 };
	pid_t pid;

	connect_pair();
	pid = fork();
	if (!pid) {
		for (size_t i = 0; i < sizeof(words); i++)
			send(front.sock, (char *)words + i, 1, 0);
		_exit(0);
	}
	CHECK_OK(await_message(back, &message));
	CHECK_EQ(message.state.index, 3);
	CHECK_EQ(message.state.num, 128);
}

/* With an fd for each byte: 20 are too many, though each byte has but one. */
TEST(fds_that_come_with_later_bytes_count)
{
	int fd = sample_fd(), nr_fds;
	uint32_t words[] = { VHOST_USER_SET_VRING_NUM, VHOST_USER_VERSION, 8, 3, 128 };

	connect_pair();
	nr_fds = test_count_fds();
	for (size_t i = 0; i < sizeof(words); i++) {
		struct iovec iov = { (char *)words + i, 1 };
		union {
			char space[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} control = { 0 };
		struct msghdr header = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};

		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
		CHECK_EQ(sendmsg(front.sock, &header, 0), 1);
	}
	CHECK_EQ(await_message(back, &message), -EPROTO);
	CHECK_HAS(vas_error(), "fds");
	CHECK_EQ(test_count_fds(), nr_fds);
}

/* It takes the five seconds that a message has. */
TEST(a_message_that_is_never_finished_ends)
{
	uint32_t head[] = { VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 8 };

	connect_pair();
	CHECK_EQ(send(front.sock, head, 7, 0), 7);
	CHECK_EQ(await_message(back, &message), -ETIMEDOUT);
	CHECK_HAS(vas_error(), "does not finish");
}

TEST(a_front_end_may_go_between_messages_and_not_within_one)
{
	uint32_t head[] = { VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 8 };

	connect_pair();
	close(front.sock);
	CHECK_EQ(await_message(back, &message), -ECONNRESET);
	connect_pair();
	CHECK_EQ(send(front.sock, head, sizeof(head), 0), (ssize_t)sizeof(head));
	shutdown(front.sock, SHUT_WR);
	is_refused("has gone within a message");
}

TEST(no_message_is_none)
{
	connect_pair();
	CHECK_EQ(vhost_user_receive(back, &message), -EAGAIN);
}

/* It takes the five seconds that an answer has. */
TEST(an_answer_that_nobody_reads_ends)
{
	int err;

	connect_pair();
	message.request = VHOST_USER_GET_FEATURES;
	do
		err = vhost_user_reply(back, &message, 8, STDOUT_FILENO);
	while (!err);
	CHECK_EQ(err, -ETIMEDOUT);
}
