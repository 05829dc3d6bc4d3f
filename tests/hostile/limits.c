// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Too little of what the system gives: clean errors, no signals, nothing left behind. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "victim.h"

static void set_limit(int resource, rlim_t value)
{
	struct rlimit limit;

	CHECK_OK(getrlimit(resource, &limit));
	limit.rlim_cur = value;
	CHECK_OK(setrlimit(resource, &limit));
}

static void unlimit(int resource)
{
	struct rlimit limit;

	CHECK_OK(getrlimit(resource, &limit));
	set_limit(resource, limit.rlim_max);
}

static uint64_t address_space(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	CHECK(file);
	CHECK_EQ(fscanf(file, "%lu", &pages), 1);
	fclose(file);
	return pages * 4096ull;
}

static const struct vas_options big = { .limit = 1ull << 40, .name = "big" };

TEST(a_file_size_limit_is_an_error_and_no_signal)
{
	struct vas *vas = NULL;
	int fds;

	set_limit(RLIMIT_FSIZE, 1 << 20);
	fds = test_count_fds();
	CHECK_EQ(vas_create(&big, &vas), -EFBIG);
	CHECK_EQ(test_count_fds(), fds);
	CHECK(vas_error()[0]);
	unlimit(RLIMIT_FSIZE);
	CHECK_OK(vas_create(&big, &vas));
	vas_destroy(vas);
}

TEST(without_address_space_the_map_does)
{
	const struct vas_region region = { .gpa = 1ull << 39,
					   .size = 1 << 20,
					   .offset = 1ull << 39 };
	struct vas_info info;
	struct vas *vas;
	uint64_t val;

	if (TEST_SANITIZED)
		test_skip("the sanitizer's own reservations are beyond any limit");
	set_limit(RLIMIT_AS, address_space() + (1ull << 30));
	CHECK_OK(vas_create(&big, &vas));
	CHECK_OK(vas_info(vas, &info));
	CHECK(!info.has_window);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_store_le64(vas, (1ull << 39) + 8, 42, __ATOMIC_RELAXED));
	CHECK_OK(vas_load_le64(vas, (1ull << 39) + 8, &val, __ATOMIC_RELAXED));
	CHECK_EQ(val, 42);
	CHECK_EQ(vas_load_le64(vas, (1ull << 39) + (1 << 20), &val, __ATOMIC_RELAXED), -EFAULT);
	vas_destroy(vas);
}

TEST(without_any_address_space_nothing_binds)
{
	struct vas *vas;
	int fd, fds, maps, err = -1;

	if (TEST_SANITIZED)
		test_skip("the sanitizer's own reservations are beyond any limit");
	CHECK_OK(vas_create(&big, &vas));
	fd = dup(vas_fd(vas));
	vas_destroy(vas);
	CHECK_OK(vas_bind(fd, 0, &vas)); /* warm up: what is allocated once for good */
	vas_unbind(vas);
	fds = test_count_fds();
	maps = test_count_maps();
	for (uint64_t extra = 0; err && extra < 1ull << 31;
	     extra += extra < 1 << 20 ? 4096 : extra) {
		test_note("%llu KiB more", (unsigned long long)extra >> 10);
		set_limit(RLIMIT_AS, address_space() + extra);
		err = vas_bind(fd, 0, &vas);
		unlimit(RLIMIT_AS);
		if (err)
			CHECK_EQ(err, -ENOMEM);
		else
			vas_unbind(vas);
		CHECK_EQ(test_count_fds(), fds);
		CHECK(test_count_maps() <= maps + 4);
	}
	CHECK_EQ(err, 0);
	close(fd);
}

typedef int step(void);

static int shared_fd, shared_sock[2];

static int step_create(void)
{
	static const struct vas_options small = { .limit = 1 << 20 };
	struct vas *vas;
	int err = vas_create(&small, &vas);

	if (!err)
		vas_destroy(vas);
	return err;
}

static int step_bind(void)
{
	struct vas *vas;
	int err = vas_bind(shared_fd, 0, &vas);

	if (!err) {
		err = vas_notify_fd(vas);
		vas_unbind(vas);
	}
	return err < 0 ? err : 0;
}

static int step_readonly(void)
{
	struct vas *vas;
	int fd, err = vas_bind(shared_fd, 0, &vas);

	if (err)
		return err;
	fd = vas_readonly_fd(vas);
	if (fd >= 0)
		close(fd);
	vas_unbind(vas);
	return fd < 0 ? fd : 0;
}

static void shrink_fds(step *step)
{
	int fds, err = -1;

	CHECK_OK(step());
	fds = test_count_fds();
	for (rlim_t nr = (rlim_t)fds; err; nr++) {
		CHECK(nr < (rlim_t)fds + 64);
		test_note("%u fds allowed, %d used", (unsigned int)nr, fds);
		set_limit(RLIMIT_NOFILE, nr);
		err = step();
		unlimit(RLIMIT_NOFILE);
		if (err)
			CHECK_EQ(err, -EMFILE);
		CHECK_EQ(test_count_fds(), fds);
	}
}

TEST(too_few_fds_are_an_error_that_leaks_none)
{
	struct victim v;

	victim_make(&v);
	shared_fd = vas_fd(v.owner);
	shrink_fds(step_create);
	shrink_fds(step_bind);
	shrink_fds(step_readonly);
	victim_free(&v);
}

static int step_recv(void)
{
	struct vas *vas;
	int err = vas_recv_fds(shared_sock[1], 0, &vas);

	if (!err)
		vas_unbind(vas);
	return err;
}

/* The kernel hands over as many fds as there is room for: the rest is lost, and so is the message. */
TEST(a_message_with_more_fds_than_fit_is_refused)
{
	struct victim v;
	int fds, err = -1;

	victim_make(&v);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, shared_sock));
	CHECK_OK(vas_send_fds(v.owner, shared_sock[0], 0));
	CHECK_OK(step_recv());
	fds = test_count_fds();
	for (rlim_t nr = (rlim_t)fds; err; nr++) {
		CHECK(nr < (rlim_t)fds + 64);
		test_note("%u fds allowed, %d used", (unsigned int)nr, fds);
		close(shared_sock[0]);
		close(shared_sock[1]);
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, shared_sock));
		CHECK_OK(vas_send_fds(v.owner, shared_sock[0], 0));
		set_limit(RLIMIT_NOFILE, nr);
		err = step_recv();
		unlimit(RLIMIT_NOFILE);
		if (err)
			CHECK(err == -EMFILE || err == -EPROTO);
		CHECK_EQ(test_count_fds(), fds);
	}
	close(shared_sock[0]);
	close(shared_sock[1]);
	victim_free(&v);
}

#define MAX_HANDLES 5000

/* More handles than there are places: refused, and all the places come back. */
TEST(more_handles_than_places_are_refused)
{
	static struct vas *handles[MAX_HANDLES];
	struct victim v;
	int nr, again;

	unlimit(RLIMIT_NOFILE);
	victim_make(&v);
	for (nr = 0; nr < MAX_HANDLES; nr++) {
		int err = vas_bind(vas_fd(v.owner), 0, &handles[nr]);

		if (!err)
			continue;
		CHECK(err == -EAGAIN || err == -EMFILE || err == -ENOMEM);
		break;
	}
	test_note("%d handles", nr);
	CHECK(nr > 8);
	for (int i = 0; i < nr; i++)
		vas_unbind(handles[i]);
	for (again = 0; again < 8; again++)
		CHECK_OK(vas_bind(vas_fd(v.owner), 0, &handles[again]));
	while (again)
		vas_unbind(handles[--again]);
	victim_free(&v);
}
