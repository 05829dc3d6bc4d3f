// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Peers that are alive and do not answer, take all there is, or want what only one can have. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/dirty.h>

#include "core/protocol/entries.h"
#include "victim.h"

#define PAGE	   4096ull
#define PEERS	   8
#define TIMEOUT_NS 50000000ull
#define LATE_NS	   10000000ull

static void tell(int sock)
{
	CHECK_EQ(send(sock, "x", 1, MSG_NOSIGNAL), 1);
}

/* Until the other end says so, or is gone. */
static int wait_for(int sock)
{
	struct pollfd pfd = { .fd = sock, .events = POLLIN };
	char byte;

	CHECK_EQ(poll(&pfd, 1, 20000), 1);
	return read(sock, &byte, 1) == 1;
}

static struct vas *bind_received(int sock, uint32_t flags)
{
	struct vas *vas;

	CHECK_OK(prctl(PR_SET_NAME, "stubborn"));
	CHECK_OK(vas_recv_fds(sock, flags, &vas));
	return vas;
}

/* ---- stopped ------------------------------------------------------------------------------ */

ROLE(sits_in_a_section)
{
	struct vas *vas = bind_received(sock, 0);

	CHECK_OK(vas_enter(vas));
	tell(sock);
	CHECK(wait_for(sock));
	vas_leave(vas);
	tell(sock);
	while (wait_for(sock))
		;
	return 0;
}

ROLE(keeps_a_map)
{
	struct vas *vas = bind_received(sock, 0);
	struct vas_mapping *mapping;

	CHECK_OK(vas_mapping_create(vas, PAGE, PAGE, VAS_MAPPING_WRITE, &mapping));
	tell(sock);
	CHECK(wait_for(sock));
	vas_mapping_destroy(mapping);
	tell(sock);
	while (wait_for(sock))
		;
	return 0;
}

static int remove_first(struct victim *v, struct vas_blocker *blocker)
{
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(v->owner, &layout));
	CHECK_OK(vas_layout_remove(layout, v->region_id));
	return vas_layout_commit(layout, TIMEOUT_NS, blocker);
}

static void stop_process(pid_t pid)
{
	int status;

	CHECK_OK(kill(pid, SIGSTOP));
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
}

/* The best of 10: the machine may be busy. */
static void be_refused_in_time(struct victim *v, pid_t pid, int kind, int freezes)
{
	struct vas_blocker blocker;
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 10 && best > LATE_NS; i++) {
		uint64_t start = test_now_ns(), took;

		CHECK_EQ(freezes ? vas_freeze(v->owner, TIMEOUT_NS, &blocker) :
				   remove_first(v, &blocker),
			 -EBUSY);
		took = test_now_ns() - start;
		CHECK(took >= TIMEOUT_NS);
		if (took - TIMEOUT_NS < best)
			best = took - TIMEOUT_NS;
		CHECK_EQ(blocker.kind, kind);
		CHECK_EQ(blocker.pid, pid);
		CHECK_EQ(blocker.tid, pid);
		CHECK_STR(blocker.name, "stubborn");
	}
	test_note("%llu us late", (unsigned long long)best / 1000);
	CHECK(best <= LATE_NS);
}

static void be_stopped(const char *role, int kind)
{
	struct vas_blocker blocker;
	struct victim v;
	uint64_t val;
	int sock;
	pid_t pid;

	victim_make(&v);
	vas_mapping_destroy(v.mapping);
	pid = test_spawn(role, &sock);
	CHECK_OK(vas_send_fds(v.owner, sock, 0));
	CHECK(wait_for(sock));
	stop_process(pid);
	be_refused_in_time(&v, pid, kind, 0);
	be_refused_in_time(&v, pid, kind, 1);
	/* The old layout stands, for writing too. */
	CHECK_OK(vas_load_le64(v.owner, PAGE, &val, __ATOMIC_RELAXED));
	CHECK_OK(vas_store_le64(v.owner, PAGE, val, __ATOMIC_RELAXED));
	CHECK_OK(kill(pid, SIGCONT));
	tell(sock);
	CHECK(wait_for(sock));
	CHECK_OK(remove_first(&v, &blocker));
	CHECK_OK(vas_freeze(v.owner, TIMEOUT_NS, &blocker));
	close(sock);
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	vas_destroy(v.owner);
}

TEST(a_process_that_is_stopped_in_a_section_is_named_at_the_deadline)
{
	be_stopped("sits_in_a_section", VAS_BLOCKER_SECTION);
}

TEST(a_process_that_is_stopped_with_a_map_is_named_at_the_deadline)
{
	be_stopped("keeps_a_map", VAS_BLOCKER_PIN);
}

/* ---- two of what there is one of ----------------------------------------------------------- */

/* Adopts as soon as it can, says so, and waits to be killed. */
ROLE(adopts)
{
	struct vas *vas = bind_received(sock, 0), *owner;
	int fd = dup(vas_fd(vas)), err;

	vas_unbind(vas);
	tell(sock);
	CHECK(wait_for(sock));
	do {
		err = vas_bind(fd, VAS_BIND_ADOPT, &owner);
		CHECK(!err || err == -EBUSY || err == -EAGAIN);
	} while (err);
	tell(sock);
	while (wait_for(sock))
		;
	return 0;
}

/* Which of them owns it: no other says so within a while, and the owner's own word agrees. */
static int find_owner(struct vas *observer, struct pollfd *peers, const pid_t *pids)
{
	struct vas_info info;
	int owner = -1;

	CHECK(poll(peers, PEERS, 20000) > 0);
	CHECK(poll(peers, PEERS, 20) >= 0);
	for (int i = 0; i < PEERS; i++) {
		if (!peers[i].revents)
			continue;
		CHECK_EQ(owner, -1);
		owner = i;
	}
	CHECK_OK(vas_info(observer, &info));
	CHECK_EQ(info.owner_pid, pids[owner]);
	return owner;
}

TEST(of_many_that_adopt_at_once_one_does)
{
	struct pollfd peers[PEERS];
	struct vas *observer;
	struct victim v;
	pid_t pids[PEERS];

	victim_make(&v);
	vas_mapping_destroy(v.mapping);
	CHECK_OK(vas_bind(vas_fd(v.owner), VAS_BIND_OBSERVE, &observer));
	for (int i = 0; i < PEERS; i++) {
		pids[i] = test_spawn("adopts", &peers[i].fd);
		peers[i].events = POLLIN;
		CHECK_OK(vas_send_fds(v.owner, peers[i].fd, 0));
		CHECK(wait_for(peers[i].fd));
	}
	vas_unbind(v.owner);
	for (int i = 0; i < PEERS; i++)
		tell(peers[i].fd);
	/* One after the other, as each is killed. */
	for (int n = 0; n < PEERS; n++) {
		int owner = find_owner(observer, peers, pids);

		test_note("owner %d", n);
		CHECK_OK(kill(pids[owner], SIGKILL));
		CHECK_EQ(waitpid(pids[owner], NULL, 0), pids[owner]);
		close(peers[owner].fd);
		peers[owner].fd = -1;
	}
	vas_unbind(observer);
}

/* ---- all that there is ---------------------------------------------------------------------- */

TEST(pins_run_out_and_come_back)
{
	static struct vas_mapping *mappings[VAS_MAX_PINS];
	struct vas_info info;
	struct victim v;
	uint32_t nr = 0;
	int err;

	victim_make(&v);
	while (!(err = vas_mapping_create(v.owner, 0, PAGE, 0, &mappings[nr])))
		CHECK(++nr < VAS_MAX_PINS);
	CHECK_EQ(err, -ENOSPC);
	CHECK_HAS(vas_error(), "pins");
	CHECK_OK(vas_info(v.owner, &info));
	CHECK_EQ(info.nr_pins, nr + 1); /* and the victim's own */
	while (nr)
		vas_mapping_destroy(mappings[--nr]);
	CHECK_OK(vas_mapping_create(v.owner, 0, PAGE, 0, &mappings[0]));
	vas_mapping_destroy(mappings[0]);
	victim_free(&v);
}

/* Of who has bound last: it has the highest index. */
static uint32_t newest_tag(const struct victim *v)
{
	const struct vas_binder *binders = victim_extent(v, VAS_EXT_BINDERS);
	uint32_t i = 0;

	while (binders[i + 1].state)
		i++;
	return binders[i].claims << VAS_TAG_INDEX_BITS | i;
}

TEST(a_peer_that_keeps_the_log_is_waited_for_one_second)
{
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	struct victim v;
	uint64_t start;
	struct vas_control *control;
	struct vas *peer;

	victim_make(&v);
	control = victim_extent(&v, VAS_EXT_CONTROL);
	CHECK_OK(vas_bind(vas_fd(v.owner), 0, &peer));
	CHECK_OK(vas_tracker_attach(v.owner, "test", 0, &dirty));
	CHECK_OK(vas_write(v.owner, 0, "x", 1, NULL));
	CHECK_OK(vas_tracker_begin(dirty));
	control->draining = newest_tag(&v);
	start = test_now_ns();
	CHECK_EQ(vas_tracker_harvest(dirty, &(uint64_t){ 0 }, VICTIM_PAGES * PAGE, 4, &words),
		 -EBUSY);
	CHECK_HAS(vas_error(), "keeps the dirty log");
	CHECK(test_now_ns() - start >= 1000000000ull);
	vas_unbind(peer);
	/* Nothing is lost by it. */
	CHECK(vas_tracker_harvest(dirty, &(uint64_t){ 0 }, VICTIM_PAGES * PAGE, 4, &words) > 0);
	CHECK((words[0].bits | words[1].bits) & 1);
	vas_tracker_detach(dirty);
	victim_free(&v);
}

/* ---- under one's feet ----------------------------------------------------------------------- */

struct puncher {
	int fd;
	int stop;
	uint64_t nr;
};

static void *punch(void *arg)
{
	struct puncher *p = arg;

	while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED)) {
		CHECK_OK(fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE));
		p->nr++;
	}
	return NULL;
}

/* Memory that a peer punches out under a copy is the old or zeros: an access is never an error. */
TEST(holes_punched_under_copies_are_zeros)
{
	static uint8_t buf[4 * PAGE], ones[4 * PAGE];
	uint64_t end_ns = test_now_ns() + 500000000;
	struct puncher p = { .stop = 0 };
	struct victim v;
	pthread_t thread;

	memset(ones, 1, sizeof(ones));
	victim_make(&v);
	p.fd = vas_fd(v.owner);
	CHECK_EQ(pthread_create(&thread, NULL, punch, &p), 0);
	while (test_now_ns() < end_ns) {
		CHECK_OK(vas_write(v.owner, 0, ones, sizeof(ones), NULL));
		CHECK_OK(vas_read(v.owner, 0, buf, sizeof(buf), NULL));
		for (size_t i = 0; i < sizeof(buf); i++)
			CHECK(buf[i] <= 1);
		CHECK_OK(vas_store_le64(v.owner, PAGE, 1, __ATOMIC_RELAXED));
	}
	__atomic_store_n(&p.stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK(p.nr > 10);
	victim_free(&v);
}
