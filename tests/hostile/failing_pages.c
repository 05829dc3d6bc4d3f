// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Pages that cannot be had: a truncated file under a region, hugetlb pages that the pool has not.
 * Each access says -EIO; none gets a signal.
 */
#include <fcntl.h>
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
