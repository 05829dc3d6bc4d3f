// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Pages that cannot be had: a truncated file under a region, hugetlb pages that the pool has not.
 * Each access says -EIO; none gets a signal.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness_hugetlb.h"
#include "victim.h"

#define PAGE	4096ull
#define GPA	(16 * PAGE)
#define NR	16ull
#define BACKING 1u

struct shaky {
	struct vas *owner;
	struct vas *bound;
	int fd;
};

static void make(struct shaky *k, uint32_t bind_flags)
{
	const struct vas_options options = { .limit = 64 * PAGE };
	const struct vas_region region = { .gpa = GPA, .size = NR * PAGE, .backing = BACKING };

	CHECK_OK(vas_create(&options, &k->owner));
	k->fd = memfd_create("shaky", MFD_CLOEXEC);
	CHECK(k->fd >= 0);
	CHECK_OK(ftruncate(k->fd, NR * PAGE));
	CHECK_EQ(vas_backing_add(k->owner, k->fd), BACKING);
	CHECK_OK(vas_region_add(k->owner, &region, NULL));
	CHECK_OK(vas_fill(k->owner, GPA, 'S', NR * PAGE, NULL));
	CHECK_OK(vas_bind(vas_fd(k->owner), bind_flags, &k->bound));
	CHECK_EQ(vas_backing_offer(k->bound, k->fd), BACKING);
}

static void clean(struct shaky *k)
{
	vas_unbind(k->bound);
	vas_destroy(k->owner);
	close(k->fd);
}

static void all_fail(struct vas *vas, uint64_t gpa)
{
	const struct vas_pattern pattern = { .bytes = "S", .len = 1 };
	uint64_t val, found;
	uint8_t buf[64];
	int order;

	CHECK_EQ(vas_read(vas, gpa, buf, sizeof(buf), NULL), -EIO);
	CHECK_EQ(vas_write(vas, gpa, buf, sizeof(buf), NULL), -EIO);
	CHECK_EQ(vas_fill(vas, gpa, 0, sizeof(buf), NULL), -EIO);
	CHECK_EQ(vas_compare(vas, gpa, buf, sizeof(buf), &order, NULL), -EIO);
	CHECK_EQ(vas_load_le32(vas, gpa, (uint32_t *)buf, __ATOMIC_RELAXED), -EIO);
	CHECK_EQ(vas_store_le32(vas, gpa, 1, __ATOMIC_RELAXED), -EIO);
	CHECK_EQ(vas_fetch_add_le64(vas, gpa, 1, &val, __ATOMIC_RELAXED), -EIO);
	CHECK_EQ(vas_read(vas, gpa, buf, 8, NULL), -EIO);
	CHECK_EQ(vas_write(vas, gpa, buf, 8, NULL), -EIO);
	CHECK_EQ(vas_search(vas, gpa, PAGE, &pattern, &found), -ENOENT);
}

static void truncated(uint32_t bind_flags)
{
	struct shaky k;
	uint8_t buf[2 * PAGE];
	size_t done;

	make(&k, bind_flags);
	CHECK_OK(vas_read(k.bound, GPA, buf, 64, NULL));
	CHECK_OK(ftruncate(k.fd, 4 * PAGE));
	for (uint64_t i = 4; i < NR; i += 5) {
		test_note("page %u", (unsigned int)i);
		all_fail(k.bound, GPA + i * PAGE);
		all_fail(k.owner, GPA + i * PAGE);
	}
	/* What is still there is still there, and a copy says where it stopped. */
	CHECK_EQ(vas_read(k.bound, GPA + 3 * PAGE, buf, sizeof(buf), &done), -EIO);
	CHECK_EQ(done, PAGE);
	for (size_t i = 0; i < PAGE; i++)
		CHECK_EQ(buf[i], 'S');
	clean(&k);
}

TEST(a_truncated_backing_is_an_io_error)
{
	truncated(0);
}

TEST(a_truncated_backing_without_a_window_is_an_io_error)
{
	truncated(VAS_BIND_NO_WINDOW);
}

TEST(a_backing_that_grows_back_works_again)
{
	struct shaky k;
	uint8_t byte;

	make(&k, 0);
	CHECK_OK(ftruncate(k.fd, 0));
	CHECK_EQ(vas_read(k.bound, GPA + PAGE, &byte, 1, NULL), -EIO);
	CHECK_OK(ftruncate(k.fd, NR * PAGE));
	CHECK_OK(vas_read(k.bound, GPA + PAGE, &byte, 1, NULL));
	CHECK_EQ(byte, 0);
	CHECK_OK(vas_write(k.bound, GPA + PAGE, "T", 1, NULL));
	CHECK_EQ(pread(k.fd, &byte, 1, PAGE), 1);
	CHECK_EQ(byte, 'T');
	clean(&k);
}

/* A page fails under a pointer, and its file grows back before anybody has asked. */
static void fail_and_come_back(struct shaky *k, uint32_t **ptr)
{
	CHECK_OK(ftruncate(k->fd, 0));
	CHECK_OK(vas_enter(k->bound));
	*ptr = vas_translate(k->bound, GPA + PAGE, 4, VAS_PROT_WRITE);
	CHECK(*ptr);
	**ptr = 1;
	vas_leave(k->bound);
	CHECK_OK(ftruncate(k->fd, NR * PAGE));
}

TEST(a_store_that_is_disconnected_is_an_io_error)
{
	struct shaky k;
	uint32_t *ptr, val;

	make(&k, 0);
	fail_and_come_back(&k, &ptr);
	CHECK_EQ(vas_store_le32(k.bound, GPA + PAGE, 7, __ATOMIC_RELEASE), -EIO);
	CHECK_OK(vas_store_le32(k.bound, GPA + PAGE, 7, __ATOMIC_RELEASE));
	CHECK_EQ(pread(k.fd, &val, 4, PAGE), 4);
	CHECK_EQ(val, 7);
	clean(&k);
}

TEST(a_store_elsewhere_is_not)
{
	struct shaky k;
	uint32_t *ptr, val;

	make(&k, 0);
	fail_and_come_back(&k, &ptr);
	CHECK_OK(vas_store_le32(k.bound, GPA + 2 * PAGE, 7, __ATOMIC_RELEASE));
	CHECK_EQ(pread(k.fd, &val, 4, 2 * PAGE), 4);
	CHECK_EQ(val, 7);
	clean(&k);
}

static void write_through_a_failing_page(uint32_t bind_flags)
{
	struct shaky k;
	uint32_t val;
	void *ptr;

	make(&k, bind_flags);
	CHECK_OK(vas_write_begin(k.bound, GPA + PAGE - 4, 2 * PAGE, &ptr));
	CHECK_OK(ftruncate(k.fd, 0));
	memset(ptr, 'T', 2 * PAGE);
	CHECK_OK(ftruncate(k.fd, NR * PAGE));
	CHECK_EQ(vas_write_end(k.bound, GPA + PAGE - 4, 2 * PAGE), -EIO);
	CHECK_OK(vas_write_begin(k.bound, GPA + PAGE - 4, 8, &ptr));
	memset(ptr, 'T', 8);
	CHECK_OK(vas_write_end(k.bound, GPA + PAGE - 4, 8));
	CHECK_EQ(pread(k.fd, &val, 4, PAGE), 4);
	CHECK_EQ(val, 0x54545454);
	clean(&k);
}

TEST(what_is_written_through_a_pointer_to_a_failing_page_is_an_io_error)
{
	write_through_a_failing_page(0);
}

TEST(without_a_window_too)
{
	write_through_a_failing_page(VAS_BIND_NO_WINDOW);
}

TEST(a_list_stops_at_a_failing_page)
{
	const struct vas_range chain[] = { { GPA, 8 }, { GPA + 5 * PAGE - 8, 16 }, { GPA, 8 } };
	uint8_t buf[32];
	const struct iovec iov = { buf, sizeof(buf) };
	struct shaky k;
	size_t done;

	make(&k, 0);
	CHECK_OK(ftruncate(k.fd, 5 * PAGE));
	CHECK_EQ(vas_readv(k.bound, chain, 3, &iov, 1, &done), -EIO);
	CHECK_EQ(done, 16);
	CHECK_EQ(vas_writev(k.bound, chain, 3, &iov, 1, &done), -EIO);
	CHECK_EQ(done, 16);
	CHECK_OK(ftruncate(k.fd, NR * PAGE));
	CHECK_OK(vas_readv(k.bound, chain, 3, &iov, 1, &done));
	CHECK_EQ(done, 32);
	clean(&k);
}

TEST(a_map_of_a_truncated_backing_raises_no_signal)
{
	struct vas_mapping *mapping;
	volatile uint8_t *p;
	struct shaky k;

	make(&k, 0);
	CHECK_OK(vas_mapping_create(k.bound, GPA, NR * PAGE, VAS_MAPPING_WRITE, &mapping));
	p = vas_mapping_addr(mapping);
	CHECK_EQ(p[5 * PAGE], 'S');
	CHECK_OK(ftruncate(k.fd, 0));
	for (uint64_t i = 0; i < NR; i++) {
		CHECK_EQ(p[i * PAGE], 0);
		p[i * PAGE] = 1;
	}
	vas_mapping_destroy(mapping);
	clean(&k);
}

TEST(a_translated_pointer_raises_no_signal)
{
	volatile uint8_t *p;
	struct shaky k;

	make(&k, 0);
	CHECK_OK(ftruncate(k.fd, 0));
	CHECK_OK(vas_enter(k.bound));
	p = vas_translate(k.bound, GPA + 7 * PAGE, 8, VAS_PROT_WRITE);
	if (p) {
		CHECK_EQ(*p, 0);
		*p = 1;
		CHECK(vas_page_failed(k.bound));
	}
	vas_leave(k.bound);
	clean(&k);
}

static int handled;

static void count_signal(int sig)
{
	(void)sig;
	handled++;
	/* The faulting access must not come again. */
	_exit(42);
}

/* A SIGBUS of the program's own goes to the handler that was there before. */
TEST(a_foreign_sigbus_goes_where_it_belongs)
{
	int status, fd = memfd_create("foreign", MFD_CLOEXEC);
	struct shaky k;
	pid_t pid;
	char *p;

	CHECK_OK(ftruncate(fd, PAGE));
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	CHECK_OK(ftruncate(fd, 0));
	pid = fork();
	if (pid == 0) {
		signal(SIGBUS, count_signal);
		make(&k, 0);
		_exit(*(volatile char *)p);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);

	/* And with no handler, the process dies of it, as it would have. */
	pid = fork();
	if (pid == 0) {
		signal(SIGBUS, SIG_DFL);
		make(&k, 0);
		_exit(*(volatile char *)p);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

#define HUGE	  (2ull << 20)
#define POOL_MORE 48

TEST(hugetlb_pages_that_are_not_there_are_an_io_error)
{
	const struct vas_options options = { .limit = 4096 * HUGE, .flags = VAS_CREATE_HUGETLB };
	const struct vas_region region = { .size = 4096 * HUGE };
	struct vas *vas;
	uint64_t gpa, val;
	int err = 0;

	hugetlb_require(POOL_MORE);
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &region, NULL));
	for (gpa = 0; gpa < 4096 * HUGE && !err; gpa += HUGE)
		err = vas_store_le64(vas, gpa, gpa, __ATOMIC_RELAXED);
	CHECK_EQ(err, -EIO);
	CHECK(gpa > HUGE);
	CHECK_OK(vas_load_le64(vas, gpa - 2 * HUGE, &val, __ATOMIC_RELAXED));
	CHECK_EQ(val, gpa - 2 * HUGE);
	vas_destroy(vas);
}

TEST(hugetlb_memory_that_is_reserved_is_refused_when_added)
{
	const struct vas_options options = {
		.limit = 4096 * HUGE,
		.flags = VAS_CREATE_HUGETLB | VAS_CREATE_RESERVE,
	};
	struct vas_region region = { .size = 4096 * HUGE };
	struct vas *vas;

	hugetlb_require(POOL_MORE);
	CHECK_OK(vas_create(&options, &vas));
	CHECK_EQ(vas_region_add(vas, &region, NULL), -ENOMEM);
	region.size = 2 * HUGE;
	CHECK_OK(vas_region_add(vas, &region, NULL));
	CHECK_OK(vas_fill(vas, 0, 1, 2 * HUGE, NULL));
	vas_destroy(vas);
}

/* ---- a thread that has SIGBUS blocked ------------------------------------------------------ */

static void *read_with_all_blocked(void *arg)
{
	struct shaky *k = arg;
	sigset_t all;
	char byte;

	sigfillset(&all);
	CHECK_OK(-pthread_sigmask(SIG_SETMASK, &all, NULL));
	CHECK_EQ(vas_read(k->bound, GPA, &byte, 1, NULL), -EIO);
	return NULL;
}

TEST(a_thread_with_all_signals_blocked_gets_an_io_error)
{
	struct shaky k;
	pthread_t thread;

	make(&k, 0);
	CHECK_OK(ftruncate(k.fd, 0));
	CHECK_OK(-pthread_create(&thread, NULL, read_with_all_blocked, &k));
	CHECK_OK(-pthread_join(thread, NULL));
	clean(&k);
}

static void *look_at_mask(void *arg)
{
	struct shaky *k = arg;
	sigset_t set;
	char byte;

	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	CHECK_OK(-pthread_sigmask(SIG_BLOCK, &set, NULL));
	CHECK_OK(vas_read(k->bound, GPA, &byte, 1, NULL));
	CHECK_OK(-pthread_sigmask(SIG_BLOCK, NULL, &set));
	CHECK(sigismember(&set, SIGBUS));
	return NULL;
}

TEST(where_the_handler_is_the_programs_the_mask_is_too)
{
	struct shaky k;
	pthread_t thread;

	make(&k, VAS_BIND_NO_SIGBUS);
	CHECK_OK(-pthread_create(&thread, NULL, look_at_mask, &k));
	CHECK_OK(-pthread_join(thread, NULL));
	clean(&k);
}

/* ---- more of them than are noted ----------------------------------------------------------- */

#define MANY 200ull

static void make_many(struct shaky *k)
{
	const struct vas_options options = { .limit = 256 * PAGE };
	const struct vas_region region = { .size = MANY * PAGE, .backing = BACKING };

	CHECK_OK(vas_create(&options, &k->owner));
	k->fd = memfd_create("shaky", MFD_CLOEXEC);
	CHECK_OK(ftruncate(k->fd, MANY * PAGE));
	CHECK_EQ(vas_backing_add(k->owner, k->fd), BACKING);
	CHECK_OK(vas_region_add(k->owner, &region, NULL));
	CHECK_OK(vas_fill(k->owner, 0, 'S', MANY * PAGE, NULL));
	CHECK_OK(vas_bind(vas_fd(k->owner), 0, &k->bound));
	CHECK_EQ(vas_backing_offer(k->bound, k->fd), BACKING);
	CHECK_OK(vas_fill(k->bound, 0, 'S', PAGE, NULL));
}

/* In one section, through pointers: nothing is found out on the way. The first page stays good. */
static void touch_all(struct shaky *k)
{
	CHECK_OK(ftruncate(k->fd, PAGE));
	CHECK_OK(vas_enter(k->bound));
	for (uint64_t i = 1; i < MANY; i++) {
		volatile uint8_t *p = vas_translate(k->bound, i * PAGE, 8, VAS_PROT_WRITE);

		CHECK(p);
		CHECK_EQ(*p, 0);
		CHECK(vas_page_failed(k->bound));
	}
	vas_leave(k->bound);
}

TEST(however_many_pages_fail_each_is_an_io_error)
{
	struct shaky k;
	uint8_t byte;

	make_many(&k);
	touch_all(&k);
	for (uint64_t i = 1; i < MANY; i++)
		CHECK_EQ(vas_read(k.bound, i * PAGE, &byte, 1, NULL), -EIO);
	CHECK_OK(vas_read(k.bound, 0, &byte, 1, NULL));
	CHECK_EQ(byte, 'S');
	CHECK_OK(ftruncate(k.fd, MANY * PAGE));
	for (uint64_t i = 1; i < MANY; i++)
		CHECK_OK(vas_write(k.bound, i * PAGE, "T", 1, NULL));
	CHECK_EQ(pread(k.fd, &byte, 1, (MANY - 1) * PAGE), 1);
	CHECK_EQ(byte, 'T');
	clean(&k);
}

/* ---- as many maps as a process may have ---------------------------------------------------- */

#define ALL_MAPS (1ull << 20)

/* Maps of the program's own, until there can be no more; give them up with munmap(). */
static char *take_all_maps(void)
{
	char *p = mmap(NULL, ALL_MAPS * PAGE, PROT_READ,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	for (uint64_t i = 0; i < ALL_MAPS; i += 2)
		if (mprotect(p + i * PAGE, PAGE, PROT_NONE))
			return p;
	test_skip("this process may have more than a million maps");
}

#define OWN_BYTE 0x5a

static uint8_t *map_right_behind(const struct vas_mapping *mapping, size_t len)
{
	uint8_t *behind = (uint8_t *)vas_mapping_addr(mapping) + len;
	uint8_t *p = mmap(behind, 16 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p != behind)
		test_skip("something else is behind the map");
	memset(p, OWN_BYTE, 16 * PAGE);
	return p;
}

TEST(without_a_map_to_be_had_a_failing_page_takes_nothing_of_the_programs)
{
	struct vas_mapping *mapping;
	volatile uint8_t *p;
	uint8_t *own, byte;
	struct shaky k;
	char *maps;

	make(&k, 0);
	CHECK_OK(vas_mapping_create(k.bound, GPA, NR * PAGE, VAS_MAPPING_WRITE, &mapping));
	p = vas_mapping_addr(mapping);
	own = map_right_behind(mapping, NR * PAGE);
	maps = take_all_maps();
	CHECK_OK(ftruncate(k.fd, 0));
	CHECK_EQ(p[5 * PAGE], 0);
	CHECK_EQ(vas_read(k.bound, GPA + 5 * PAGE, &byte, 1, NULL), -EIO);
	for (size_t i = 0; i < 16 * PAGE; i++)
		CHECK_EQ(own[i], OWN_BYTE);
	CHECK_OK(munmap(maps, ALL_MAPS * PAGE));
	vas_mapping_destroy(mapping);
	clean(&k);
}

TEST(without_a_map_to_be_had_accesses_fail_until_there_is_one)
{
	struct shaky k;
	uint8_t byte;
	char *maps;

	make_many(&k);
	maps = take_all_maps();
	touch_all(&k);
	for (uint64_t i = 1; i < MANY; i += 7)
		CHECK_EQ(vas_read(k.bound, i * PAGE, &byte, 1, NULL), -EIO);
	CHECK_OK(munmap(maps, ALL_MAPS * PAGE));
	for (uint64_t i = 1; i < MANY; i += 7)
		CHECK_EQ(vas_read(k.bound, i * PAGE, &byte, 1, NULL), -EIO);
	CHECK_OK(vas_read(k.bound, 0, &byte, 1, NULL));
	CHECK_EQ(byte, 'S');
	CHECK_OK(ftruncate(k.fd, MANY * PAGE));
	CHECK_OK(vas_write(k.bound, 150 * PAGE, "T", 1, NULL));
	CHECK_EQ(pread(k.fd, &byte, 1, 150 * PAGE), 1);
	CHECK_EQ(byte, 'T');
	clean(&k);
}

/* Pages of two sizes in one map: the last one is huge, and of it only the beginning is asked for. */
TEST(a_map_that_ends_in_a_huge_page_covers_nothing_behind_it)
{
	const struct vas_options options = { .limit = 4 * HUGE };
	const struct vas_region small = { .gpa = HUGE - 4 * PAGE,
					  .size = 4 * PAGE,
					  .offset = HUGE };
	struct vas_region huge = { .gpa = HUGE, .size = HUGE };
	struct vas_mapping *mapping;
	volatile uint8_t *p;
	struct vas *vas;
	uint8_t byte;
	int fd;

	hugetlb_require(2);
	fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, HUGE));
	CHECK_OK(vas_create(&options, &vas));
	huge.backing = (uint32_t)vas_backing_add(vas, fd);
	CHECK_OK(vas_region_add(vas, &small, NULL));
	CHECK_OK(vas_region_add(vas, &huge, NULL));
	CHECK_OK(vas_mapping_create(vas, HUGE - 4 * PAGE, 8 * PAGE, VAS_MAPPING_WRITE, &mapping));
	p = vas_mapping_addr(mapping);
	map_right_behind(mapping, 4 * PAGE + HUGE);
	p[3 * PAGE] = 3;
	p[4 * PAGE] = 4;
	CHECK_OK(vas_read(vas, HUGE - PAGE, &byte, 1, NULL));
	CHECK_EQ(byte, 3);
	CHECK_OK(vas_read(vas, HUGE, &byte, 1, NULL));
	CHECK_EQ(byte, 4);
	vas_mapping_destroy(mapping);
	vas_destroy(vas);
}
