// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Snapshots on snapshots: what differs is in them, found by a tracker or by comparing. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "migrate/snapshot/snapshot.h"
#include "tests/migrate/snapshot/saved.h"

#define NR 5

static void change(struct vas *vas, struct test_random *random, int i)
{
	write_some(vas, random, 10);
	CHECK_OK(vas_fill(vas, (uint64_t)i << 20, 0, 8192, NULL));
}

static void name_of(char name[8], int i)
{
	snprintf(name, 8, "s%d", i);
}

/* s0, and s1 to s4 on it; a tracker or none. */
static void save_chain(struct vas *vas, struct test_random *random, struct vas_tracker *dirty)
{
	char name[8], parent[8];
	int i;

	CHECK_OK(vas_snapshot_save(vas, "s0", NULL, NULL));
	for (i = 1; i < NR; i++) {
		name_of(name, i);
		name_of(parent, i - 1);
		change(vas, random, i);
		if (dirty)
			CHECK_OK(vas_tracker_begin(dirty));
		CHECK_OK(vas_snapshot_save(vas, name, parent, dirty));
		if (dirty)
			CHECK_OK(vas_tracker_commit(dirty));
		CHECK(allocated(name) < 50 * VAS_PAGE_SIZE);
	}
}

TEST(increments_of_a_tracker_add_up)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *dirty;

	enter_folder();
	write_some(vas, &random, 1000);
	CHECK_OK(vas_tracker_attach(vas, "backup", 0, &dirty));
	save_chain(vas, &random, dirty);
	check_restores("s4", vas);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
	leave_folder();
}

TEST(increments_by_comparing_add_up)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE);

	enter_folder();
	write_some(vas, &random, 1000);
	save_chain(vas, &random, NULL);
	check_restores("s4", vas);
	/* Nothing has changed: nothing is in it. */
	CHECK_OK(vas_snapshot_save(vas, "same", "s4", NULL));
	CHECK(allocated("same") <= 4 * VAS_PAGE_SIZE);
	check_restores("same", vas);
	vas_destroy(vas);
	leave_folder();
}

/* As a VMM does that knows nothing of vas: no marks. */
TEST(comparing_finds_what_nobody_marked)
{
	struct vas *vas = shadow_vas(SIZE);
	char *raw = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);

	enter_folder();
	CHECK(raw != MAP_FAILED);
	CHECK_OK(vas_snapshot_save(vas, "s0", NULL, NULL));
	raw[5 << 20] = 'x';
	CHECK_OK(vas_snapshot_save(vas, "s1", "s0", NULL));
	check_restores("s1", vas);
	munmap(raw, SIZE);
	vas_destroy(vas);
	leave_folder();
}

/* Its pages are zero then, and no tracker hears of that. */
TEST(a_region_that_went_and_came_again_is_zero)
{
	struct vas_region ram = { .size = SIZE, .name = "ram" }, old;
	struct vas *vas = shadow_vas(SIZE);
	struct vas_tracker *dirty;

	enter_folder();
	CHECK_OK(vas_fill(vas, 0, 0xaa, SIZE / 2, NULL));
	CHECK_OK(vas_tracker_attach(vas, "backup", 0, &dirty));
	CHECK_OK(vas_snapshot_save(vas, "s0", NULL, NULL));
	CHECK_OK(vas_region_at(vas, 0, &old));
	CHECK_OK(vas_region_remove(vas, old.id));
	CHECK_OK(vas_region_add(vas, &ram, NULL));
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_OK(vas_snapshot_save(vas, "tracked", "s0", dirty));
	CHECK_OK(vas_tracker_commit(dirty));
	CHECK_OK(vas_snapshot_save(vas, "compared", "s0", NULL));
	check_restores("tracked", vas);
	check_restores("compared", vas);
	vas_tracker_detach(dirty);
	vas_destroy(vas);
	leave_folder();
}

static void check_refused(struct vas *vas, const char *name, const char *parent, int err,
			  const char *message)
{
	int before = count_files();

	CHECK_EQ(vas_snapshot_save(vas, name, parent, NULL), err);
	CHECK_HAS(vas_error(), message);
	CHECK_EQ(count_files(), before);
}

TEST(a_wrong_parent_is_refused)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *other = shadow_vas(SIZE), *back;
	struct vas_tracker *dirty;

	enter_folder();
	write_some(vas, &random, 100);
	save_chain(vas, &random, NULL);
	check_refused(vas, "new", "absent", -ENOENT, "absent");
	check_refused(vas, "s0", "s4", -EEXIST, "stand on");
	CHECK_OK(vas_tracker_attach(other, "backup", 0, &dirty));
	CHECK_OK(vas_tracker_begin(dirty));
	CHECK_EQ(vas_snapshot_save(other, "new", "s4", dirty), -EINVAL);
	CHECK_HAS(vas_error(), "another vas");
	CHECK_EQ(vas_snapshot_save(other, "new", NULL, dirty), -EINVAL);
	/* Comparing needs no common history: it is only not small. */
	write_some(other, &random, 100);
	CHECK_OK(vas_snapshot_save(other, "new", "s4", NULL));
	check_restores("new", other);
	/* Another snapshot in the place of one that children were made on. */
	CHECK_OK(vas_snapshot_save(vas, "s2", NULL, NULL));
	CHECK_EQ(vas_snapshot_restore("s4", 0, &back), -EPROTO);
	CHECK_HAS(vas_error(), "s2 is not the snapshot");
	check_refused(vas, "more", "s4", -EPROTO, "s2 is not the snapshot");
	CHECK_OK(unlink("s2"));
	CHECK_EQ(vas_snapshot_restore("s4", 0, &back), -ENOENT);
	check_refused(vas, "more", "s4", -ENOENT, "s2");
	vas_tracker_detach(dirty);
	vas_destroy(other);
	vas_destroy(vas);
	leave_folder();
}

/* Its bytes are what pages are compared with. */
TEST(a_damaged_parent_is_refused)
{
	struct vas *vas = shadow_vas(SIZE);
	struct snapshot_header header;
	int fd;

	enter_folder();
	CHECK_OK(vas_fill(vas, 0, 0xaa, 4096, NULL));
	CHECK_OK(vas_snapshot_save(vas, "s0", NULL, NULL));
	fd = open("s0", O_RDWR);
	CHECK_EQ(read(fd, &header, sizeof(header)), sizeof(header));
	CHECK_EQ(pwrite(fd, "", 1, (off_t)header.data_offset + 100), 1);
	close(fd);
	check_refused(vas, "s1", "s0", -EPROTO, "damaged");
	vas_destroy(vas);
	leave_folder();
}

TEST(a_chain_ends_where_it_could_not_be_restored)
{
	struct vas *vas = shadow_vas(SIZE);
	char name[8], parent[8];
	int i;

	enter_folder();
	CHECK_OK(vas_snapshot_save(vas, "s0", NULL, NULL));
	for (i = 1; i < SNAPSHOT_MAX_PARENTS; i++) {
		name_of(name, i);
		name_of(parent, i - 1);
		CHECK_OK(vas_write(vas, (uint64_t)i * VAS_PAGE_SIZE, name, 8, NULL));
		CHECK_OK(vas_snapshot_save(vas, name, parent, NULL));
	}
	check_refused(vas, "new", name, -ELOOP, "full one");
	check_restores(name, vas);
	vas_destroy(vas);
	leave_folder();
}
