// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Saved, restored, the same; or refused. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/migrate.h>

#include "../harness.h"
#include "migrate/snapshot.h"
#include "shadow.h"

#define SIZE (8ull << 20)

static char folder[] = "snapshot-XXXXXX";

static void make_folder(void)
{
	CHECK(mkdtemp(folder));
	CHECK_OK(chdir(folder));
}

static void remove_folder(void)
{
	CHECK_OK(chdir(".."));
	CHECK_OK(rmdir(folder));
}

static void write_some(struct vas *vas, struct test_random *random, int nr)
{
	while (nr--) {
		uint64_t value = test_random_next(random);

		CHECK_OK(vas_write(vas, test_random_below(random, SIZE - 8), &value, 8, NULL));
	}
}

static void check_same(struct vas *a, struct vas *b)
{
	static char pages[2][VAS_PAGE_SIZE];
	uint64_t gpa;

	for (gpa = 0; gpa < SIZE; gpa += VAS_PAGE_SIZE) {
		CHECK_OK(vas_read(a, gpa, pages[0], VAS_PAGE_SIZE, NULL));
		CHECK_OK(vas_read(b, gpa, pages[1], VAS_PAGE_SIZE, NULL));
		CHECK_MEM(pages[1], pages[0], VAS_PAGE_SIZE);
	}
}

TEST(a_snapshot_has_everything_and_is_sparse)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *back;
	struct vas_info info;
	struct stat st;

	make_folder();
	write_some(vas, &random, 100);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_write(vas, 0, "runs on", 7, NULL));
	CHECK_OK(vas_read(vas, 0, (char[7]){ 0 }, 7, NULL));
	CHECK_OK(stat("full", &st));
	CHECK((uint64_t)st.st_blocks * 512 < 200 * VAS_PAGE_SIZE);
	CHECK_OK(vas_snapshot_restore("full", 0, &back));
	CHECK_OK(vas_write(back, 0, "runs on", 7, NULL));
	check_same(vas, back);
	CHECK_OK(vas_info(back, &info));
	CHECK_STR(info.name, "shadow");
	CHECK_EQ(info.role, VAS_ROLE_OWNER);
	vas_destroy(back);
	vas_destroy(vas);
	CHECK_OK(unlink("full"));
	remove_folder();
}

TEST(increments_add_up)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *back;
	struct vas_dirty *dirty;
	struct stat st;
	int i;

	make_folder();
	write_some(vas, &random, 1000);
	CHECK_OK(vas_dirty_attach(vas, "backup", 0, &dirty));
	CHECK_OK(vas_snapshot_save(vas, "s0", NULL, NULL));
	for (i = 1; i < 5; i++) {
		char name[8], parent[8];

		snprintf(name, sizeof(name), "s%d", i);
		snprintf(parent, sizeof(parent), "s%d", i - 1);
		write_some(vas, &random, 10);
		CHECK_OK(vas_fill(vas, (uint64_t)i << 20, 0, 8192, NULL));
		CHECK_OK(vas_dirty_begin(dirty));
		CHECK_OK(vas_snapshot_save(vas, name, parent, dirty));
		CHECK_OK(vas_dirty_commit(dirty));
		CHECK_OK(stat(name, &st));
		CHECK((uint64_t)st.st_blocks * 512 < 50 * VAS_PAGE_SIZE);
	}
	CHECK_OK(vas_snapshot_restore("s4", 0, &back));
	check_same(vas, back);
	vas_destroy(back);
	CHECK_EQ(vas_snapshot_restore("s4", VAS_RESTORE_LAZY, &back), -EOPNOTSUPP);
	/* Another snapshot in the place of one that children were made on. */
	CHECK_OK(vas_snapshot_save(vas, "s2", NULL, NULL));
	CHECK_EQ(vas_snapshot_restore("s4", 0, &back), -EPROTO);
	CHECK_OK(unlink("s2"));
	CHECK_EQ(vas_snapshot_restore("s4", 0, &back), -ENOENT);
	vas_dirty_detach(dirty);
	vas_destroy(vas);
	for (i = 0; i < 5; i++)
		unlink((char[]){ 's', (char)('0' + i), '\0' });
	remove_folder();
}

TEST(clones_share_the_file_and_nothing_else)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *one, *two;
	char byte;

	make_folder();
	write_some(vas, &random, 300);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_LAZY, &one));
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_LAZY, &two));
	CHECK_OK(unlink("full"));
	check_same(vas, one);
	CHECK_OK(vas_fill(one, 0, 0xaa, SIZE, NULL));
	CHECK_OK(vas_read(two, SIZE / 2, &byte, 1, NULL));
	check_same(vas, two);
	vas_destroy(one);
	vas_destroy(two);
	vas_destroy(vas);
	remove_folder();
}

static int receive_damaged(int fd, off_t at)
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

TEST(a_damaged_snapshot_is_refused)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *back;
	struct snapshot_header header;
	off_t at, size, layout_end;
	int fd, err;

	make_folder();
	write_some(vas, &random, 30);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	fd = open("full", O_RDWR);
	CHECK_EQ(read(fd, &header, sizeof(header)), sizeof(header));
	layout_end = (off_t)(sizeof(header) + header.layout_size);
	size = lseek(fd, 0, SEEK_END);
	for (at = 0; at >= 0 && at < size; at = lseek(fd, at + 1 + (off_t)test_random_below(&random, 900), SEEK_DATA)) {
		err = receive_damaged(fd, at);
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
	CHECK_OK(unlink("full"));
	remove_folder();
}

TEST(a_failed_snapshot_leaves_the_old_one_and_nothing_else)
{
	struct vas *vas = shadow_vas(SIZE), *back;
	struct vas_mapping *mapping;
	struct vas_info info;
	struct dirent *entry;
	int nr = 0;
	DIR *dir;

	make_folder();
	CHECK_OK(vas_write(vas, 0, "old", 3, NULL));
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_map(vas, 0, 4096, VAS_MAP_WRITE, &mapping));
	CHECK_EQ(vas_snapshot_save(vas, "full", NULL, NULL), -EBUSY);
	vas_unmap(mapping);
	dir = opendir(".");
	while ((entry = readdir(dir)))
		nr += entry->d_name[0] != '.';
	closedir(dir);
	CHECK_EQ(nr, 1);
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.state_flags, 0);
	CHECK_OK(vas_snapshot_restore("full", 0, &back));
	vas_destroy(back);
	CHECK_EQ(vas_snapshot_save(vas, "nowhere/full", NULL, NULL), -ENOENT);
	vas_destroy(vas);
	CHECK_OK(unlink("full"));
	remove_folder();
}
