// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Looking allocates nothing, and what is lost is never saved as zeros. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/lazy.h>

#include "tests/harness_hugetlb.h"
#include "tests/migrate/snapshot/saved.h"

#define HUGE (2ull << 20)
#define MIB  (1ull << 20)

static uint64_t resident(int fd)
{
	struct stat st;

	CHECK_OK(fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

static int send_to_file(struct vas *vas, const char *path)
{
	int err, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	struct vas_migrate_options options = { .fds = &fd,
					       .nr_fds = 1,
					       .flags = VAS_MIGRATE_ONE_WAY };

	CHECK_OK(fd);
	err = vas_migrate_send(vas, &options, NULL);
	if (!err)
		vas_thaw(vas);
	close(fd);
	return err;
}

/* ---- what was cut ------------------------------------------------------------------------- */

/* A vas with its RAM, and 1 MiB more at SIZE, from a plain file that may be cut: its fd. */
static int add_plain(struct vas *vas)
{
	struct vas_region more = { .gpa = SIZE, .size = MIB, .name = "plain" };
	int fd = open("plain", O_RDWR | O_CREAT, 0600), backing;

	CHECK_OK(ftruncate(fd, (off_t)MIB));
	backing = vas_backing_add(vas, fd);
	CHECK_OK(backing);
	more.backing = (uint32_t)backing;
	CHECK_OK(vas_region_add(vas, &more, NULL));
	CHECK_OK(vas_fill(vas, SIZE, 0x11, MIB, NULL));
	return fd;
}

static void check_not_saved(struct vas *vas, struct vas_tracker *dirty)
{
	CHECK_EQ(vas_snapshot_save(vas, "lost", NULL, NULL), -EIO);
	CHECK_HAS(vas_error(), "plain");
	CHECK_EQ(vas_snapshot_save(vas, "lost", "full", NULL), -EIO);
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_EQ(vas_snapshot_save(vas, "lost", "full", dirty), -EIO);
	CHECK_OK(vas_tracker_commit(dirty));
	CHECK_EQ(access("lost", F_OK), -1);
	CHECK_EQ(send_to_file(vas, "stream"), -EIO);
}

TEST(a_region_whose_file_was_cut_is_not_saved)
{
	static const off_t sizes[] = { MIB - 1, MIB - 4096, MIB / 2 + 1, 0 };
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *dirty;
	int fd;

	enter_folder();
	fd = add_plain(vas);
	CHECK_OK(vas_tracker_attach(vas, "backup", 0, &dirty));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(send_to_file(vas, "stream"));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		test_note("cut to %lld", (long long)sizes[i]);
		CHECK_OK(ftruncate(fd, sizes[i]));
		check_not_saved(vas, dirty);
	}
	vas_tracker_detach(dirty);
	close(fd);
	vas_destroy(vas);
	leave_folder();
}

/* For whoever tracks everything and reads what he is told of. */
TEST(a_tracker_of_everything_is_told_what_was_lost)
{
	struct vas *vas = shadow_vas(SIZE);
	const struct vas_dirty_word *words;
	struct vas_tracker *dirty;
	uint64_t gpa = SIZE;
	char byte;
	int fd;

	enter_folder();
	fd = add_plain(vas);
	CHECK_OK(ftruncate(fd, 0));
	CHECK_OK(vas_tracker_attach(vas, "all", VAS_TRACKER_ALL, &dirty));
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_EQ(vas_tracker_harvest(dirty, &gpa, SIZE + MIB, 8, &words), 4);
	CHECK_EQ(words[0].bits, UINT64_MAX);
	CHECK_EQ(vas_peek(vas, words[0].gpa, &byte, 1, NULL), -EIO);
	CHECK_EQ(vas_read(vas, words[0].gpa, &byte, 1, NULL), -EIO);
	vas_tracker_detach(dirty);
	close(fd);
	vas_destroy(vas);
	leave_folder();
}

/* ---- what was never touched --------------------------------------------------------------- */

TEST(peeking_is_reading_that_allocates_nothing)
{
	static char got[64 * 4096], want[64 * 4096];
	struct vas *vas = shadow_vas(SIZE);
	uint64_t before;
	size_t done;

	CHECK_OK(vas_write(vas, 5 * 4096 + 4000, "over a border", 13, NULL));
	CHECK_OK(vas_write(vas, 9 * 4096, "alone", 5, NULL));
	before = resident(vas_fd(vas));
	memcpy(want + 5 * 4096 + 4000, "over a border", 13);
	memcpy(want + 9 * 4096, "alone", 5);
	memset(got, 1, sizeof(got));
	CHECK_OK(vas_peek(vas, 0, got, sizeof(got), &done));
	CHECK_EQ(done, sizeof(got));
	CHECK_MEM(got, want, sizeof(got));
	CHECK_OK(vas_peek(vas, 5 * 4096 + 4003, got, 6, NULL));
	CHECK_MEM(got, "r a bo", 6);
	CHECK_EQ(vas_peek(vas, SIZE - 8192, got, 3 * 4096, &done), -EFAULT);
	CHECK_EQ(done, 8192);
	CHECK_EQ(resident(vas_fd(vas)), before);
	vas_destroy(vas);
}

TEST(local_memory_is_peeked_at_as_any)
{
	static char local[2 * 4096] __attribute__((aligned(4096)));
	struct vas_region mine = {
		.gpa = SIZE, .size = sizeof(local), .hva = local, .flags = VAS_REGION_LOCAL
	};
	struct vas *vas = shadow_vas(SIZE);
	char got[10];

	CHECK_OK(vas_region_add(vas, &mine, NULL));
	memcpy(local + 4090, "0123456789", 10);
	CHECK_OK(vas_peek(vas, SIZE + 4090, got, sizeof(got), NULL));
	CHECK_MEM(got, "0123456789", 10);
	vas_destroy(vas);
}

/* A balloon: the parent has the pages, the guest has given them back. */
TEST(pages_that_were_given_back_stay_so)
{
	struct vas *vas = shadow_vas(SIZE);
	uint64_t before;

	enter_folder();
	CHECK_OK(vas_fill(vas, 0, 0x55, SIZE, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(fallocate(vas_fd(vas), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			   (off_t)SIZE - 4096));
	before = resident(vas_fd(vas));
	CHECK_OK(vas_snapshot_save(vas, "child", "full", NULL));
	/* The logs have grown by a page or two. */
	CHECK(resident(vas_fd(vas)) < before + 64 * 4096);
	check_restores("child", vas);
	vas_destroy(vas);
	leave_folder();
}

TEST(of_a_clone_only_what_its_snapshot_has_is_fetched)
{
	static char got[8 * MIB];
	struct vas *vas = shadow_vas(SIZE), *clone;
	uint64_t before, gpa = 0;

	enter_folder();
	CHECK_OK(vas_write(vas, 3 * MIB, "one", 3, NULL));
	CHECK_OK(vas_write(vas, 5 * MIB, "two", 3, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &clone));
	before = resident(vas_fd(clone));
	CHECK_EQ(vas_lazy_next(clone, &gpa, SIZE), 1);
	CHECK_EQ(gpa, 3 * MIB);
	gpa += 4096;
	CHECK_EQ(vas_lazy_next(clone, &gpa, SIZE), 1);
	CHECK_EQ(gpa, 5 * MIB);
	gpa = 0;
	CHECK_EQ(vas_lazy_next(clone, &gpa, 3 * MIB), 0);
	CHECK_EQ(gpa, 3 * MIB);
	CHECK_OK(vas_peek(clone, 0, got, 5 * MIB, NULL));
	CHECK_MEM(got + 3 * MIB, "one", 3);
	CHECK(resident(vas_fd(clone)) <= before + 2 * 4096);
	gpa = 0;
	CHECK_EQ(vas_lazy_next(clone, &gpa, SIZE), 1);
	CHECK_EQ(gpa, 5 * MIB);
	CHECK_OK(vas_peek(clone, 0, got, SIZE, NULL));
	CHECK_MEM(got + 5 * MIB, "two", 3);
	CHECK_OK(vas_lazy_wait(clone, TEST_HANG_NS));
	gpa = 0;
	CHECK_EQ(vas_lazy_next(clone, &gpa, SIZE), 0);
	CHECK(resident(vas_fd(clone)) <= before + 4 * 4096);
	vas_destroy(clone);
	vas_destroy(vas);
	leave_folder();
}

/* The log of what is to come is sparse, too: neither is it walked word by word, nor allocated. */
TEST(a_large_clone_with_little_in_it_is_looked_at_in_no_time)
{
	const uint64_t size = 1ull << 38;
	struct vas_options options = { .limit = size, .ram_size = size };
	struct vas_region ram = { .size = size, .name = "ram" };
	struct vas *vas, *clone;
	uint64_t before, gpa = 0;

	enter_folder();
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &ram, NULL));
	CHECK_OK(vas_write(vas, size - 8, "the end", 8, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_CLONE, &clone));
	before = resident(vas_fd(clone));
	CHECK_EQ(vas_lazy_next(clone, &gpa, size), 1);
	CHECK_EQ(gpa, size - 4096);
	CHECK_OK(vas_snapshot_save(clone, "again", NULL, NULL));
	gpa = 0;
	CHECK_EQ(vas_lazy_next(clone, &gpa, size), 0);
	/* The page, and a few of the logs, of which all would be 8 MiB each. */
	CHECK(resident(vas_fd(clone)) < before + MIB);
	vas_destroy(clone);
	vas_destroy(vas);
	leave_folder();
}

/* hugetlbfs tells nobody what is a hole. */
TEST(huge_pages_that_nobody_touched_stay_in_their_pool)
{
	struct vas_options options = { .limit = 32 * HUGE,
				       .ram_size = 16 * HUGE,
				       .flags = VAS_CREATE_HUGETLB };
	struct vas_region ram = { .size = 16 * HUGE, .name = "ram" };
	struct vas_pattern pattern = { .bytes = "needle", .len = 6 };
	static char got[HUGE];
	uint64_t before, found;
	struct vas *vas;

	hugetlb_require(24);
	enter_folder();
	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &ram, NULL));
	CHECK_OK(vas_write(vas, 5 * HUGE - 3, "needle", 6, NULL));
	before = resident(vas_fd(vas));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_snapshot_save(vas, "child", "full", NULL));
	CHECK_OK(send_to_file(vas, "stream"));
	for (uint64_t gpa = 0; gpa < 16 * HUGE; gpa += HUGE)
		CHECK_OK(vas_peek(vas, gpa, got, HUGE, NULL));
	CHECK_OK(vas_search(vas, 0, 16 * HUGE, &pattern, &found));
	CHECK_EQ(found, 5 * HUGE - 3);
	CHECK_EQ(vas_search(vas, found + 1, 16 * HUGE, &pattern, &found), -ENOENT);
	CHECK_EQ(resident(vas_fd(vas)), before);
	vas_destroy(vas);
	leave_folder();
}
