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

/* ---- maps ---------------------------------------------------------------------------------- */

#define PAGE	  4096ull
#define NR_SPREAD 32700u
#define FAR	  (1ull << 33)

static long most_maps(void)
{
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
	long most = 0;

	CHECK(file);
	CHECK_EQ(fscanf(file, "%ld", &most), 1);
	fclose(file);
	return most;
}

struct spread {
	struct vas *owner, *bound;
	struct vas_superblock sb;
	char *control;
	uint32_t backing;
};

static void *extent(const struct spread *s, enum vas_extent_id id)
{
	return s->control + (s->sb.extents[id].offset - s->sb.ram_size);
}

static void make_spread(struct spread *s)
{
	const struct vas_options options = { .limit = 2 * FAR, .name = "spread" };
	struct vas_region region = { .gpa = FAR, .size = PAGE };
	int fd = memfd_create("spread", MFD_CLOEXEC), file;
	off_t size;

	CHECK_OK(ftruncate(fd, NR_SPREAD * 2 * PAGE));
	CHECK_OK(vas_create(&options, &s->owner));
	s->backing = region.backing = (uint32_t)vas_backing_add(s->owner, fd);
	CHECK_OK(vas_region_add(s->owner, &region, NULL));
	file = vas_fd(s->owner);
	CHECK_OK(vas_bind(file, 0, &s->bound));
	CHECK_OK(vas_backing_offer(s->bound, fd));
	size = lseek(file, 0, SEEK_END);
	CHECK_EQ(pread(file, &s->sb, sizeof(s->sb), size - 4096), sizeof(s->sb));
	s->control = mmap(NULL, (size_t)size - s->sb.ram_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  file, (off_t)s->sb.ram_size);
	CHECK(s->control != MAP_FAILED);
	close(fd);
}

/* As a peer writes it: regions of one page, `stride` apart, each in two pages of the backing. */
static void publish(const struct spread *s, uint32_t nr, uint64_t stride)
{
	struct vas_control *ctl = extent(s, VAS_EXT_CONTROL);
	struct vas_state state = ctl->state[ctl->generation & 1];
	struct vas_region_entry *table;

	state.table = !state.table;
	table = extent(s, state.table ? VAS_EXT_TABLE1 : VAS_EXT_TABLE0);
	for (uint32_t i = 0; i < nr; i++)
		table[i] = (struct vas_region_entry){ .gpa = i * stride,
						      .size = PAGE,
						      .offset = i * stride,
						      .backing = s->backing,
						      .id = i + 1 };
	state.nr_regions = nr;
	state.regions_generation = ++state.generation;
	ctl->state[state.generation & 1] = state;
	__atomic_store_n(&ctl->generation, state.generation, __ATOMIC_RELEASE);
}

TEST(a_layout_of_too_many_maps_is_an_error_and_takes_none)
{
	struct spread s;
	char byte;
	int maps;

	if (NR_SPREAD * 2 < most_maps() / 4 * 3)
		test_skip("vm.max_map_count is higher than a table can need");
	make_spread(&s);
	CHECK_OK(vas_read(s.bound, FAR, &byte, 1, NULL));
	maps = test_count_maps();
	publish(&s, NR_SPREAD, 2 * PAGE);
	CHECK_EQ(vas_read(s.bound, 0, &byte, 1, NULL), -ENOMEM);
	CHECK_HAS(vas_error(), "vm.max_map_count");
	CHECK(test_count_maps() < maps + 100);
	/* Side by side they are one map, however many. */
	publish(&s, NR_SPREAD, PAGE);
	CHECK_OK(vas_read(s.bound, (NR_SPREAD - 1) * PAGE, &byte, 1, NULL));
	CHECK(test_count_maps() < maps + 100);
	/* What one layout needed, the next may have. */
	publish(&s, 20000, 2 * PAGE);
	CHECK_OK(vas_read(s.bound, 0, &byte, 1, NULL));
	CHECK(test_count_maps() > 2 * 20000);
	publish(&s, 1, PAGE);
	CHECK_OK(vas_read(s.bound, 0, &byte, 1, NULL));
	publish(&s, 20000, 2 * PAGE);
	CHECK_OK(vas_read(s.bound, 0, &byte, 1, NULL));
	vas_unbind(s.bound);
	CHECK(test_count_maps() < maps + 100);
	vas_destroy(s.owner);
}
