// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Peers that die in the middle of something: what they held comes back, and nobody waits for them. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "victim.h"

#define PAGE 4096ull

static struct vas *bind_received(int sock, uint32_t flags)
{
	struct vas *vas;

	CHECK_OK(vas_recv_fds(sock, flags, &vas));
	return vas;
}

static void tell(int sock)
{
	CHECK_EQ(send(sock, "x", 1, MSG_NOSIGNAL), 1);
}

static void be_killed(int sock)
{
	char byte;

	tell(sock);
	read(sock, &byte, 1); /* until the end */
	pause();
}

ROLE(dies_in_a_section)
{
	struct vas *vas = bind_received(sock, 0);

	CHECK_OK(vas_enter(vas));
	CHECK(vas_translate(vas, 0, 8, VAS_PROT_WRITE));
	be_killed(sock);
	return 0;
}

ROLE(dies_with_a_map)
{
	struct vas *vas = bind_received(sock, 0);
	struct vas_mapping *mapping;

	CHECK_OK(vas_mapping_create(vas, 0, PAGE, VAS_MAPPING_WRITE, &mapping));
	be_killed(sock);
	return 0;
}

ROLE(binds_and_unbinds)
{
	struct vas *vas = bind_received(sock, 0), *again;
	uint64_t val;

	tell(sock);
	for (;;) {
		CHECK_OK(vas_bind(vas_fd(vas), 0, &again));
		CHECK_OK(vas_load_le64(again, 0, &val, __ATOMIC_RELAXED));
		vas_unbind(again);
	}
	return 0;
}

ROLE(maps_and_unmaps)
{
	struct vas *vas = bind_received(sock, 0);
	struct vas_mapping *mapping;

	tell(sock);
	for (;;) {
		CHECK_OK(vas_mapping_create(vas, 0, PAGE, VAS_MAPPING_WRITE, &mapping));
		vas_mapping_destroy(mapping);
	}
	return 0;
}

ROLE(reads_and_writes)
{
	struct vas *vas = bind_received(sock, 0);
	static uint8_t buf[3 * PAGE];

	tell(sock);
	for (;;) {
		CHECK_OK(vas_read(vas, 0, buf, sizeof(buf), NULL));
		CHECK_OK(vas_write(vas, 0, buf, sizeof(buf), NULL));
	}
	return 0;
}

ROLE(adopts_and_changes)
{
	const struct vas_region region = { .gpa = 20 * PAGE, .size = PAGE, .offset = 20 * PAGE };
	struct vas *vas = bind_received(sock, VAS_BIND_ADOPT);
	uint64_t id;

	tell(sock);
	for (;;) {
		CHECK_OK(vas_region_add(vas, &region, &id));
		CHECK_OK(vas_region_remove(vas, id));
	}
	return 0;
}

static pid_t start(struct vas *owner, const char *role, int *sock)
{
	pid_t pid = test_spawn(role, sock);
	struct pollfd ready = { .events = POLLIN };
	char byte;

	CHECK_OK(vas_send_fds(owner, *sock, 0));
	ready.fd = *sock;
	CHECK_EQ(poll(&ready, 1, TEST_HANG_MS), 1);
	CHECK_EQ(read(*sock, &byte, 1), 1);
	return pid;
}

static void stop(pid_t pid, int sock)
{
	int status;

	kill(pid, SIGKILL);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(sock);
}

/*
 * After deaths: what was in the owner's way is gone as soon as it is met, the rest as soon as
 * somebody takes the dead binder's place.
 */
static void check_nothing_left(struct victim *v)
{
	struct vas_info info;

	CHECK_OK(vas_region_remove(v->owner, v->region_id));
	CHECK_EQ(victim_try_bind(vas_fd(v->owner), 0), 0);
	CHECK_OK(vas_info(v->owner, &info));
	CHECK_EQ(info.nr_binders, 1);
	CHECK_EQ(info.nr_pins, 1); /* the victim's own */
	CHECK_EQ(info.nr_threads, 1);
}

static void die(const char *role)
{
	struct victim v;
	int sock;
	pid_t pid;

	victim_make(&v);
	pid = start(v.owner, role, &sock);
	stop(pid, sock);
	check_nothing_left(&v);
	victim_free(&v);
}

TEST(a_binder_killed_in_a_section_is_not_waited_for)
{
	die("dies_in_a_section");
}

TEST(a_binder_killed_with_a_map_is_not_waited_for)
{
	die("dies_with_a_map");
}

/* Kill at any moment, many times. */
static void die_often(const char *role)
{
	struct test_random random = { test_seed() };
	struct victim v;

	victim_make(&v);
	for (int i = 0; i < 40; i++) {
		struct pollfd never = { .fd = -1 };
		int sock;
		pid_t pid = start(v.owner, role, &sock);

		test_note("round %d", i);
		poll(&never, 1, (int)test_random_below(&random, 3));
		stop(pid, sock);
		CHECK_OK(vas_fill(v.owner, 0, (uint8_t)i, PAGE, NULL));
	}
	check_nothing_left(&v);
	victim_free(&v);
}

TEST(binders_killed_while_they_bind_leave_nothing)
{
	die_often("binds_and_unbinds");
}

TEST(binders_killed_while_they_map_leave_nothing)
{
	die_often("maps_and_unmaps");
}

TEST(binders_killed_while_they_copy_leave_nothing)
{
	die_often("reads_and_writes");
}

static void check_adopted(struct vas *vas, int round)
{
	struct vas_region regions[8];
	ssize_t nr = vas_regions(vas, regions, 8);
	uint64_t val;

	/* The region that comes and goes is there, whole, or it is not. */
	CHECK(nr == 4 || nr == 5);
	if (nr == 5) {
		CHECK_EQ(regions[3].gpa, 20 * PAGE);
		CHECK_EQ(regions[3].size, PAGE);
		CHECK_OK(vas_region_remove(vas, regions[3].id));
	}
	CHECK_OK(vas_load_le64(vas, 0, &val, __ATOMIC_RELAXED));
	test_note("round %d adopted", round);
}

TEST(owners_killed_while_they_change_leave_a_whole_layout)
{
	struct test_random random = { test_seed() };
	struct victim v;
	int fd;

	victim_make(&v);
	fd = dup(vas_fd(v.owner));
	vas_mapping_destroy(v.mapping);
	v.mapping = NULL;
	for (int i = 0; i < 40; i++) {
		struct pollfd never = { .fd = -1 };
		struct vas *binder;
		int sock;
		pid_t pid;

		test_note("round %d", i);
		vas_unbind(v.owner);
		CHECK_OK(vas_bind(fd, 0, &binder));
		pid = start(binder, "adopts_and_changes", &sock);
		CHECK_EQ(victim_try_bind(fd, VAS_BIND_ADOPT), -EBUSY);
		poll(&never, 1, (int)test_random_below(&random, 3));
		stop(pid, sock);
		vas_unbind(binder);
		CHECK_OK(vas_bind(fd, VAS_BIND_ADOPT, &v.owner));
		check_adopted(v.owner, i);
	}
	close(fd);
	victim_free(&v);
}

ROLE(receives_for_ever)
{
	tell(sock);
	for (;;) {
		struct vas *vas;

		if (!vas_recv_fds(sock, 0, &vas))
			vas_unbind(vas);
	}
	return 0;
}

TEST(a_receiver_killed_while_the_vas_is_sent_leaves_no_fd)
{
	struct victim v;
	int fds;

	victim_make(&v);
	fds = test_count_fds();
	for (int i = 0; i < 20; i++) {
		int sock, err = 0;
		pid_t pid = start(v.owner, "receives_for_ever", &sock);

		for (int k = 0; k < i && !err; k++)
			err = vas_send_fds(v.owner, sock, 0);
		stop(pid, sock);
		CHECK_EQ(test_count_fds(), fds);
	}
	victim_free(&v);
}
