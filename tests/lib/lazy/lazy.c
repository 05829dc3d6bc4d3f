// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Restored lazily: there at once for whoever asks, complete in the end. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/lazy.h>

#include "tests/migrate/snapshot/saved.h"

/* A vas of random content, saved as "full". */
static struct vas *saved_vas(int nr_values)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE);

	write_some(vas, &random, nr_values);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	return vas;
}

static uint64_t lazy(struct vas *vas)
{
	struct vas_info info;

	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(!!(info.state_flags & VAS_STATE_LAZY), !!info.nr_lazy);
	return info.nr_lazy;
}

TEST(all_of_it_comes)
{
	struct vas *vas, *back;

	enter_folder();
	vas = saved_vas(5000);
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_LAZY, &back));
	check_same(vas, back);
	CHECK_OK(vas_lazy_wait(back, TEST_HANG_NS));
	CHECK_EQ(lazy(back), 0);
	check_same(vas, back);
	/* Now the bare file has it as well. */
	for (uint64_t gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		char raw[VAS_PAGE_SIZE], page[VAS_PAGE_SIZE];

		CHECK_EQ(pread(vas_fd(back), raw, sizeof(raw), (off_t)gpa), sizeof(raw));
		CHECK_OK(vas_read(vas, gpa, page, sizeof(page), NULL));
		CHECK_MEM(raw, page, sizeof(page));
	}
	CHECK_OK(unlink("full"));
	check_same(vas, back);
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}

/* Each way in by itself, so that nothing else has brought the page. */
TEST(every_access_asks)
{
	uint64_t value = 0x1122334455667788, got, found, mib = 1 << 20;
	struct vas_pattern pattern = { .bytes = &value, .len = 8 };
	struct vas *vas = shadow_vas(SIZE), *back;
	struct vas_cache cache = { 0 };
	struct vas_mapping *mapping;
	struct iovec iov[2];
	int order;

	enter_folder();
	for (uint64_t gpa = 0; gpa < SIZE; gpa += mib)
		CHECK_OK(vas_write(vas, gpa, &value, 8, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &back));
	CHECK_EQ(lazy(back), 8);
	CHECK_OK(vas_load_le64(back, 0, &got, __ATOMIC_RELAXED));
	CHECK_EQ(got, value);
	CHECK_OK(vas_read(back, mib, &got, 8, NULL));
	CHECK_EQ(got, value);
	CHECK_OK(vas_enter(back));
	CHECK_EQ(*(uint64_t *)vas_translate_cached(back, &cache, 2 * mib, 8, VAS_PROT_READ), value);
	CHECK_EQ(vas_iov(back, 3 * mib, 8, VAS_PROT_READ, iov, 2), 1);
	CHECK_EQ(*(uint64_t *)iov[0].iov_base, value);
	vas_leave(back);
	CHECK_OK(vas_mapping_create(back, 4 * mib, 8, VAS_MAPPING_WRITE, &mapping));
	CHECK_EQ(*(uint64_t *)vas_mapping_addr(mapping), value);
	vas_mapping_destroy(mapping);
	CHECK_OK(vas_compare(back, 5 * mib, &value, 8, &order, NULL));
	CHECK_EQ(order, 0);
	CHECK_EQ(lazy(back), 2);
	CHECK_OK(vas_search(back, 6 * mib - 4096, mib, &pattern, &found));
	CHECK_EQ(found, 6 * mib);
	/* Written in part: the rest of the page is what it was. */
	CHECK_OK(vas_fill(back, 7 * mib + 4, 0, 4, NULL));
	CHECK_OK(vas_read(back, 7 * mib, &got, 8, NULL));
	CHECK_EQ(got, value & 0xffffffff);
	CHECK_OK(vas_lazy_wait(back, TEST_HANG_NS));
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}

TEST(what_differs_in_children_is_theirs)
{
	struct vas *vas, *back;

	enter_folder();
	vas = saved_vas(500);
	CHECK_OK(vas_fill(vas, 1 << 20, 0, 1 << 20, NULL));
	CHECK_OK(vas_fill(vas, 3 << 20, 0x33, 12345, NULL));
	CHECK_OK(vas_snapshot_save(vas, "child", "full", NULL));
	CHECK_OK(vas_fill(vas, 3 << 20, 0x34, 100, NULL));
	CHECK_OK(vas_snapshot_save(vas, "grandchild", "child", NULL));
	CHECK_OK(vas_snapshot_restore("grandchild", VAS_RESTORE_LAZY, &back));
	check_same(vas, back);
	CHECK_OK(vas_lazy_wait(back, TEST_HANG_NS));
	check_same(vas, back);
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}

/* What is to come is part of a snapshot, of a migration's first round, and of a sampler's all. */
TEST(a_tracker_of_everything_gets_it_all)
{
	struct vas *vas, *back;

	enter_folder();
	vas = saved_vas(2000);
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &back));
	CHECK_OK(vas_snapshot_save(back, "again", NULL, NULL));
	check_restores("again", vas);
	vas_destroy(back);
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &back));
	CHECK_OK(vas_write(back, 100, "changed", 7, NULL));
	CHECK_OK(vas_write(vas, 100, "changed", 7, NULL));
	CHECK_OK(vas_snapshot_save(back, "child", "full", NULL));
	CHECK(allocated("child") <= 5 * VAS_PAGE_SIZE);
	check_restores("child", vas);
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}

TEST(until_then_the_layout_stays)
{
	struct vas_region more = { .gpa = SIZE, .size = 4096, .offset = SIZE };
	struct vas *vas, *back;

	enter_folder();
	vas = saved_vas(100);
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &back));
	CHECK_EQ(vas_region_add(back, &more, NULL), -EAGAIN);
	CHECK_HAS(vas_error(), "lazy pages are not all filled");
	CHECK_EQ(vas_handover_give(back, -1, NULL, 0), -EBUSY);
	CHECK_EQ(vas_lazy_wait(back, 0), -ETIMEDOUT);
	CHECK_OK(vas_freeze(back, TEST_HANG_NS, NULL));
	check_same(vas, back);
	CHECK_OK(vas_thaw(back));
	CHECK_OK(vas_lazy_wait(back, TEST_HANG_NS));
	CHECK_OK(vas_region_add(back, &more, NULL));
	vas_destroy(back);
	CHECK_EQ(vas_snapshot_restore("full", VAS_RESTORE_LAZY | VAS_RESTORE_CLONE, &back),
		 -EINVAL);
	vas_destroy(vas);
	leave_folder();
}

/* ---- many at once ------------------------------------------------------------------------- */

struct work {
	struct vas *vas, *back;
	int nr;
};

static void *touch(void *arg)
{
	struct work *work = arg;
	struct test_random random = { test_seed() + (uint64_t)work->nr };
	char a[100], b[100];

	for (int i = 0; i < 3000; i++) {
		uint64_t gpa = test_random_below(&random, SIZE - sizeof(a));

		CHECK_OK(vas_read(work->vas, gpa, a, sizeof(a), NULL));
		CHECK_OK(vas_read(work->back, gpa, b, sizeof(b), NULL));
		CHECK_MEM(b, a, sizeof(a));
	}
	return NULL;
}

TEST(threads_race_for_pages)
{
	struct work work[4];
	pthread_t threads[4];
	struct vas *vas, *back;

	enter_folder();
	vas = saved_vas(5000);
	for (int round = 0; round < 10; round++) {
		CHECK_OK(vas_snapshot_restore(
			"full", round % 2 ? VAS_RESTORE_LAZY : VAS_RESTORE_CLONE, &back));
		for (int i = 0; i < 4; i++) {
			work[i] = (struct work){ vas, back, round * 4 + i };
			CHECK_OK(pthread_create(&threads[i], NULL, touch, &work[i]));
		}
		for (int i = 0; i < 4; i++)
			CHECK_OK(pthread_join(threads[i], NULL));
		vas_destroy(back);
	}
	vas_destroy(vas);
	leave_folder();
}

/* ---- sharing ------------------------------------------------------------------------------ */

#define CLONES	   8
#define CLONE_SIZE (256ull << 20)

TEST(clones_share_what_they_do_not_touch)
{
	struct vas *vas = shadow_vas(CLONE_SIZE), *clones[CLONES];
	uint64_t total = 0, gpa;
	struct stat st;

	enter_folder();
	for (gpa = 0; gpa < CLONE_SIZE; gpa += 4096)
		CHECK_OK(vas_write(vas, gpa, &(uint64_t){ gpa + 1 }, 8, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	for (int i = 0; i < CLONES; i++)
		CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &clones[i]));
	for (int i = 0; i < CLONES; i++) {
		for (gpa = 0; gpa < CLONE_SIZE; gpa += CLONE_SIZE / 16) {
			uint64_t value;

			CHECK_OK(vas_load_le64(clones[i], gpa, &value, __ATOMIC_RELAXED));
			CHECK_EQ(value, gpa + 1);
			CHECK_OK(vas_store_le64(clones[i], gpa, (uint64_t)i, __ATOMIC_RELAXED));
		}
	}
	for (int i = 0; i < CLONES; i++) {
		uint64_t value;

		CHECK_OK(vas_load_le64(clones[i], 0, &value, __ATOMIC_RELAXED));
		CHECK_EQ(value, i);
		CHECK_OK(fstat(vas_fd(clones[i]), &st));
		total += (uint64_t)st.st_blocks * 512;
	}
	/* 16 words of 256 KiB each, and their control areas. */
	test_note("%llu bytes in all", (unsigned long long)total);
	CHECK(total < CLONE_SIZE / 4);
	for (int i = 0; i < CLONES; i++)
		vas_destroy(clones[i]);
	vas_destroy(vas);
	leave_folder();
}
