// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A snapshot as private mappings: shared as long as nobody writes, gone with the handle. */
#include <fcntl.h>
#include <unistd.h>

#include "migrate/snapshot/snapshot.h"
#include "migrate/base/sum.h"
#include "tests/migrate/snapshot/saved.h"

TEST(they_share_the_file_and_nothing_else)
{
	struct test_random random = { test_seed() };
	struct vas *vas = shadow_vas(SIZE), *one, *two;
	char byte;

	enter_folder();
	write_some(vas, &random, 300);
	CHECK_OK(vas_snapshot_save(vas, "full", NULL, NULL));
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_PRIVATE, &one));
	CHECK_OK(vas_snapshot_restore("full", VAS_RESTORE_PRIVATE, &two));
	CHECK_OK(unlink("full"));
	check_same(vas, one);
	CHECK_OK(vas_fill(one, 0, 0xaa, SIZE, NULL));
	CHECK_OK(vas_read(two, SIZE / 2, &byte, 1, NULL));
	check_same(vas, two);
	vas_destroy(one);
	vas_destroy(two);
	vas_destroy(vas);
	leave_folder();
}

TEST(a_chain_is_not_in_one_piece)
{
	struct vas *vas = shadow_vas(SIZE), *back;

	enter_folder();
	CHECK_OK(vas_snapshot_save(vas, "s0", NULL, NULL));
	CHECK_OK(vas_snapshot_save(vas, "s1", "s0", NULL));
	CHECK_EQ(vas_snapshot_restore("s1", VAS_RESTORE_PRIVATE, &back), -EOPNOTSUPP);
	CHECK_HAS(vas_error(), "parent");
	vas_destroy(vas);
	leave_folder();
}

/* The second region's size, and so its place, to more than can be mapped; the sums made good again. */
static void poison(const char *path)
{
	struct snapshot_header header;
	struct {
		struct stream_layout layout;
		struct vas_region_entry regions[2];
	} all;
	int fd = open(path, O_RDWR);

	CHECK_EQ(pread(fd, &header, sizeof(header), 0), sizeof(header));
	CHECK_EQ(header.layout_size, sizeof(all));
	CHECK_EQ(pread(fd, &all, sizeof(all), sizeof(header)), sizeof(all));
	all.regions[1].gpa = all.layout.limit;
	header.layout_sum = sum_add(*(uint64_t *)header.id, &all, sizeof(all));
	header.header_sum = sum_add(*(uint64_t *)header.id, &header,
				    offsetof(struct snapshot_header, header_sum));
	CHECK_EQ(pwrite(fd, &all, sizeof(all), sizeof(header)), sizeof(all));
	CHECK_EQ(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	close(fd);
}

TEST(neither_an_end_nor_a_failure_leaves_a_mapping)
{
	struct vas_region more = { .gpa = SIZE, .size = 1 << 20, .offset = SIZE, .name = "more" };
	struct vas *vas = shadow_vas(SIZE), *back;
	int i, fds, maps;

	enter_folder();
	CHECK_OK(vas_region_add(vas, &more, NULL));
	CHECK_OK(vas_snapshot_save(vas, "good", NULL, NULL));
	CHECK_OK(vas_snapshot_save(vas, "bad", NULL, NULL));
	poison("bad");
	CHECK_OK(vas_snapshot_restore("good", VAS_RESTORE_PRIVATE, &back));
	vas_destroy(back);
	CHECK_EQ(vas_snapshot_restore("bad", VAS_RESTORE_PRIVATE, &back), -EPROTO);
	maps = test_count_maps();
	fds = test_count_fds();
	for (i = 0; i < 20; i++) {
		CHECK_OK(vas_snapshot_restore("good", VAS_RESTORE_PRIVATE, &back));
		vas_destroy(back);
		CHECK_EQ(vas_snapshot_restore("bad", VAS_RESTORE_PRIVATE, &back), -EPROTO);
	}
	CHECK(TEST_SANITIZED || test_count_maps() == maps); /* a sanitizer has maps of its own */
	CHECK_EQ(test_count_fds(), fds);
	vas_destroy(vas);
	leave_folder();
}
