// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Saved, restored, the same; or refused. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "migrate/snapshot/snapshot.h"
#include "tests/migrate/snapshot/saved.h"

TEST(a_snapshot_has_everything_and_is_sparse)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *back;
	struct vas_info info;

	enter_folder();
	write_some(vas, &random, 100);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_write(vas, 0, "runs on", 7, NULL));
	CHECK_OK(vas_read(vas, 0, (char[7]){ 0 }, 7, NULL));
	CHECK(allocated("full") < 200 * VAS_PAGE_SIZE);
	CHECK_OK(vas_snapshot_restore("full", 0, &back));
	CHECK_OK(vas_write(back, 0, "runs on", 7, NULL));
	check_same(vas, back);
	CHECK_OK(vas_info(back, &info));
	CHECK_STR(info.name, "shadow");
	CHECK_EQ(info.role, VAS_ROLE_OWNER);
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}

static int restore_damaged(int fd, off_t at)
{
	unsigned char byte;
	struct vas *vas;
	int err;

	CHECK_EQ(pread(fd, &byte, 1, at), 1);
	byte ^= 1 << at % 8;
	CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
	err = vas_snapshot_restore("full", 0, &vas);
	if (!err)
		vas_destroy(vas);
	byte ^= 1 << at % 8;
	CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
	return err;
}

/* Neither pages that are zero, nor any that the snapshot does not have. */
TEST(what_is_restored_takes_no_more_memory_than_its_pages_with_bytes)
{
	struct vas *vas = shadow_vas(SIZE), *back;
	struct stat before, after;
	uint64_t page;

	enter_folder();
	CHECK_OK(vas_snapshot_save(vas, "empty", NULL, NULL));
	for (page = 0; page < SIZE / VAS_PAGE_SIZE; page += 1 + page % 7)
		CHECK_OK(vas_write(vas, page * VAS_PAGE_SIZE + 77, "\0x", 1 + page % 2, NULL));
	CHECK_OK(fstat(vas_fd(vas), &before));
	for (page = 0; page < SIZE / VAS_PAGE_SIZE; page += 1 + page % 7)
		before.st_blocks -= page % 2 ? 0 : VAS_PAGE_SIZE / 512;
	CHECK_OK(vas_snapshot_save(vas, "child", "empty", NULL));
	CHECK_OK(vas_snapshot_restore("child", 0, &back));
	CHECK_OK(fstat(vas_fd(back), &after));
	/* The source has had sections, and what else takes a few pages of the control area. */
	CHECK(after.st_blocks <= before.st_blocks);
	check_same(vas, back);
	vas_destroy(back);
	vas_destroy(vas);
	leave_folder();
}

TEST(ram_that_is_apart_is_saved_as_any)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas_made(SIZE, VAS_CREATE_RAM_APART);

	enter_folder();
	write_some(vas, &random, 100);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK(allocated("full") < 200 * VAS_PAGE_SIZE);
	check_restores("full", vas);
	vas_destroy(vas);
	leave_folder();
}

TEST(of_a_snapshot_with_a_parent_a_template_can_be_made)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *back;
	char byte = 'x';

	enter_folder();
	write_some(vas, &random, 100);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	write_some(vas, &random, 20);
	CHECK_OK(vas_snapshot_save(vas, "child", "full", NULL));
	CHECK_OK(vas_snapshot_restore("child", VAS_RESTORE_RAM_APART, &back));
	CHECK(vas_backing_fd(back, 0) != vas_fd(back));
	CHECK_OK(vas_ram_seal(back, NULL));
	check_same(vas, back);
	CHECK(vas_write(back, 0, &byte, 1, NULL) < 0);
	CHECK(pwrite(vas_backing_fd(back, 0), &byte, 1, 0) < 0);
	vas_destroy(back);
	CHECK_EQ(vas_snapshot_restore("child", VAS_RESTORE_RAM_APART | VAS_RESTORE_LAZY, &back),
		 -EINVAL);
	vas_destroy(vas);
	leave_folder();
}

static int stays_there(void *arg, struct vas *vas)
{
	int *fd = arg;

	*fd = fcntl(vas_backing_fd(vas, 0), F_DUPFD_CLOEXEC, 0);
	return *fd < 0 ? -errno : 0;
}

static int ends_it(void *arg, struct vas *vas)
{
	(void)arg;
	(void)vas;
	return -ECANCELED;
}

/* Enough for helpers: some hundred words. */
TEST(a_restore_tells_when_its_memory_is_there_and_fills_it_by_several_threads)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *back;
	struct vas_restore_options options = { .begun = stays_there };
	struct stat st;
	int fd = -1;

	enter_folder();
	write_some(vas, &random, 2000);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	options.arg = &fd;
	CHECK_OK(vas_snapshot_restore_with("full", &options, &back));
	CHECK(!fstat(fd, &st));
	close(fd);
	CHECK(!fstat(vas_fd(back), &st));
	check_same(vas, back);
	vas_destroy(back);
	options.begun = ends_it;
	CHECK_EQ(vas_snapshot_restore_with("full", &options, &back), -ECANCELED);
	options.flags = VAS_RESTORE_LAZY;
	CHECK_EQ(vas_snapshot_restore_with("full", &options, &back), -EINVAL);
	vas_destroy(vas);
	leave_folder();
}

TEST(a_damaged_snapshot_is_refused)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *back;
	struct snapshot_header header;
	off_t at, size, layout_end;
	int fd, err;

	enter_folder();
	write_some(vas, &random, 30);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	fd = open("full", O_RDWR);
	CHECK_EQ(read(fd, &header, sizeof(header)), sizeof(header));
	layout_end = (off_t)(sizeof(header) + header.layout_size);
	size = lseek(fd, 0, SEEK_END);
	for (at = 0; at >= 0 && at < size;
	     at = lseek(fd, at + 1 + (off_t)test_random_below(&random, 900), SEEK_DATA)) {
		err = restore_damaged(fd, at);
		test_note("byte %lld", (long long)at);
		/* Between layout and data nothing is, and nobody looks. */
		if (at >= layout_end && at < (off_t)header.data_offset)
			continue;
		CHECK(err == -EPROTO || err == -EOPNOTSUPP);
	}
	CHECK_OK(vas_snapshot_restore("full", 0, &back));
	vas_destroy(back);
	CHECK_OK(ftruncate(fd, size - 1));
	CHECK_EQ(vas_snapshot_restore("full", 0, &back), -EPROTO);
	CHECK_OK(ftruncate(fd, 100));
	CHECK_EQ(vas_snapshot_restore("full", 0, &back), -EPROTO);
	close(fd);
	vas_destroy(vas);
	leave_folder();
}

TEST(a_failed_snapshot_leaves_the_old_one_and_nothing_else)
{
	struct vas *vas = shadow_vas(SIZE), *back;
	struct vas_mapping *mapping;
	struct vas_info info;

	enter_folder();
	CHECK_OK(vas_write(vas, 0, "old", 3, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_mapping_create(vas, 0, 4096, VAS_MAPPING_WRITE, &mapping));
	CHECK_EQ(vas_snapshot_save(vas, "full", NULL, NULL), -EBUSY);
	vas_mapping_destroy(mapping);
	CHECK_EQ(count_files(), 1);
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.state_flags, 0);
	CHECK_OK(vas_snapshot_restore("full", 0, &back));
	vas_destroy(back);
	CHECK_EQ(vas_snapshot_save(vas, "nowhere/full", NULL, NULL), -ENOENT);
	vas_destroy(vas);
	leave_folder();
}
