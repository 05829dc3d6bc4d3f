// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A stamp is the same for as long as a chain's files are as they were. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/migrate/snapshot/saved.h"

struct stamp {
	uint8_t bytes[16];
	int is_settled;
};

static struct stamp stamp_of(const char *path)
{
	struct stamp stamp;

	stamp.is_settled = vas_snapshot_stamp(path, 0, stamp.bytes);
	CHECK(stamp.is_settled >= 0);
	return stamp;
}

static int is_same(struct stamp a, struct stamp b)
{
	return !memcmp(a.bytes, b.bytes, sizeof(a.bytes));
}

/* A second time, until the file system's clock has gone on. */
static void write_again(const char *path)
{
	struct stat before, now;
	int fd = open(path, O_RDWR);
	char byte;

	CHECK(fd >= 0);
	CHECK_OK(fstat(fd, &before));
	CHECK_EQ(pread(fd, &byte, 1, 0), 1);
	do {
		CHECK_EQ(pwrite(fd, &byte, 1, 0), 1);
		CHECK_OK(fstat(fd, &now));
	} while (now.st_ctim.tv_sec == before.st_ctim.tv_sec &&
		 now.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
	close(fd);
}

TEST(a_stamp_changes_with_each_file_of_the_chain)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *restored;
	struct stamp old;

	enter_folder();
	write_some(vas, &random, 100);
	CHECK_OK(vas_snapshot_save(vas, "parent", NULL, NULL));
	write_some(vas, &random, 10);
	CHECK_OK(vas_snapshot_save(vas, "child", "parent", NULL));
	CHECK(!is_same(stamp_of("parent"), stamp_of("child")));

	old = stamp_of("child");
	CHECK_OK(vas_snapshot_restore("child", 0, &restored));
	vas_destroy(restored);
	CHECK(is_same(stamp_of("child"), old));
	CHECK_OK(rename("child", "moved"));
	/* A rename may be a change or not, as the file system has it; a write is one. */
	old = stamp_of("moved");
	write_again("moved");
	CHECK(!is_same(stamp_of("moved"), old));
	old = stamp_of("moved");
	write_again("parent");
	CHECK(!is_same(stamp_of("moved"), old));
	vas_destroy(vas);
	leave_folder();
}

TEST(a_file_that_was_changed_just_now_is_not_settled)
{
	struct vas *vas = shadow_vas(SIZE);

	enter_folder();
	CHECK_OK(vas_snapshot_save(vas, "file", NULL, NULL));
	while (!stamp_of("file").is_settled)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	/* Nothing is said of the time that this took, if it was put off. */
	const time_t before = time(NULL);
	write_again("file");
	CHECK(!stamp_of("file").is_settled || time(NULL) > before + 1);
	vas_destroy(vas);
	leave_folder();
}

TEST(what_is_no_snapshot_has_no_stamp)
{
	struct vas *vas = shadow_vas(SIZE);
	uint8_t stamp[16];

	enter_folder();
	CHECK_EQ(vas_snapshot_stamp("nothing", 0, stamp), -ENOENT);
	CHECK_OK(vas_snapshot_save(vas, "file", NULL, NULL));
	CHECK_EQ(vas_snapshot_stamp("file", VAS_RESTORE_LAZY, stamp), -EINVAL);
	CHECK_OK(truncate("file", 100));
	CHECK_EQ(vas_snapshot_stamp("file", 0, stamp), -EPROTO);
	vas_destroy(vas);
	leave_folder();
}
