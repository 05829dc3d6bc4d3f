// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/lib/simple_vas.h"

static void refuse(struct vas *vas, struct vas_region region, int err)
{
	uint64_t generation = vas_generation(vas);

	CHECK_EQ(vas_region_add(vas, &region, NULL), err);
	CHECK(vas_error()[0]);
	CHECK_EQ(vas_generation(vas), generation);
}

TEST(regions_that_make_no_sense_are_refused)
{
	struct vas *vas = simple_vas();
	struct vas_region region = simple_region(1, 1);

	refuse(vas, (struct vas_region){ .gpa = 1, .size = PAGE }, -EINVAL);
	refuse(vas, (struct vas_region){ .gpa = PAGE, .size = 100 }, -EINVAL);
	refuse(vas, (struct vas_region){ .gpa = PAGE, .size = 0 }, -EINVAL);
	refuse(vas, (struct vas_region){ .gpa = PAGE, .size = PAGE, .offset = 5 }, -EINVAL);
	refuse(vas, simple_region(256, 1), -EINVAL);
	refuse(vas, simple_region(255, 2), -EINVAL);
	refuse(vas, (struct vas_region){ .gpa = PAGE, .size = -PAGE, .offset = PAGE }, -EINVAL);
	refuse(vas, (struct vas_region){ .size = PAGE, .offset = 256 * PAGE }, -EINVAL);
	refuse(vas, (struct vas_region){ .size = 2 * PAGE, .offset = 255 * PAGE }, -EINVAL);
	region.flags = 1u << 20;
	refuse(vas, region, -EINVAL);
	region.flags = VAS_REGION_LOCAL; /* without an hva */
	refuse(vas, region, -EINVAL);
	region.flags = 0;
	region.hva = vas; /* without the flag */
	refuse(vas, region, -EINVAL);
	region.hva = NULL;
	region.backing = 1;
	refuse(vas, region, -EBADF);
	region.backing = ~0u;
	refuse(vas, region, -EBADF);
	vas_destroy(vas);
}

TEST(overlaps_are_refused_and_name_both)
{
	struct vas *vas = simple_vas();

	simple_add(vas, 10, 10);
	refuse(vas, simple_region(10, 10), -EEXIST);
	refuse(vas, simple_region(9, 2), -EEXIST);
	refuse(vas, simple_region(19, 1), -EEXIST);
	refuse(vas, simple_region(12, 2), -EEXIST);
	refuse(vas, simple_region(0, 256), -EEXIST);
	CHECK_HAS(vas_error(), "[0, +0x100000) would overlap [0xa000, +0xa000)");
	simple_add(vas, 9, 1);
	simple_add(vas, 20, 1);
	vas_destroy(vas);
}

TEST(the_table_has_room_for_max_regions)
{
	struct vas *vas = simple_vas();

	for (uint64_t i = 0; i < 16; i++)
		simple_add(vas, 2 * i, 1);
	refuse(vas, simple_region(100, 1), -ENOSPC);
	CHECK_HAS(vas_error(), "16 regions");
	vas_destroy(vas);
}

TEST(an_id_is_never_used_twice)
{
	struct vas *vas = simple_vas();
	uint64_t last = 0;

	for (int i = 0; i < 100; i++) {
		uint64_t id = simple_add(vas, 1, 1);

		CHECK(id > last);
		last = id;
		CHECK_OK(vas_region_remove(vas, id));
		CHECK_EQ(vas_region_remove(vas, id), -ENOENT);
		CHECK_HAS(vas_error(), "no region with the id");
	}
	vas_destroy(vas);
}

/* One change in a transaction fails: that one is not made, the others are. */
TEST(a_failed_change_leaves_the_layout_as_it_was)
{
	const struct vas_region first = simple_region(1, 1), bad = simple_region(300, 1);
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 4, 2), new_id;
	struct vas_region regions[4];
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_add(layout, &first, &new_id));
	CHECK_EQ(vas_layout_add(layout, &bad, NULL), -EINVAL);
	CHECK_EQ(vas_layout_add(layout, &first, NULL), -EEXIST);
	CHECK_EQ(vas_layout_move(layout, id, PAGE), -EEXIST);
	CHECK_EQ(vas_layout_move(layout, id, 255 * PAGE), -EINVAL);
	CHECK_EQ(vas_layout_move(layout, id + 100, 9 * PAGE), -ENOENT);
	CHECK_EQ(vas_layout_resize(layout, new_id, 4 * PAGE), -EEXIST);
	CHECK_EQ(vas_layout_resize(layout, id, 0), -EINVAL);
	CHECK_EQ(vas_layout_remove(layout, 12345), -ENOENT);
	CHECK_OK(vas_layout_commit(layout, 0, NULL));
	CHECK_EQ(vas_regions(vas, regions, 4), 2);
	CHECK_EQ(regions[0].gpa, PAGE);
	CHECK_EQ(regions[0].size, PAGE);
	CHECK_EQ(regions[1].gpa, 4 * PAGE);
	CHECK_EQ(regions[1].size, 2 * PAGE);
	CHECK_EQ(regions[1].id, id);
	vas_destroy(vas);
}

TEST(what_is_removed_makes_room_in_the_same_change)
{
	const struct vas_region larger = simple_region(3, 9);
	struct vas *vas = simple_vas();
	uint64_t id = simple_add(vas, 4, 2);
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_OK(vas_layout_add(layout, &larger, NULL));
	CHECK_OK(vas_layout_commit(layout, 0, NULL));
	CHECK_EQ(vas_region_by_id(vas, id, &(struct vas_region){ 0 }), -ENOENT);
	vas_destroy(vas);
}

TEST(an_empty_change_is_no_change)
{
	struct vas *vas = simple_vas();
	uint64_t generation = vas_generation(vas);
	struct vas_layout *layout;

	CHECK_OK(vas_layout_begin(vas, &layout));
	CHECK_OK(vas_layout_commit(layout, 0, NULL));
	CHECK_EQ(vas_generation(vas), generation);
	vas_destroy(vas);
}

TEST(only_the_owner_changes_the_layout)
{
	const struct vas_region region = simple_region(1, 1);
	struct vas *vas = simple_vas(), *binder, *observer;

	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_OK(vas_bind(vas_fd(vas), VAS_BIND_OBSERVE, &observer));
	CHECK_EQ(vas_region_add(binder, &region, NULL), -EPERM);
	CHECK_EQ(vas_region_add(observer, &region, NULL), -EPERM);
	CHECK_EQ(vas_backing_add(binder, 0), -EPERM);
	CHECK_HAS(vas_error(), "owner");
	vas_unbind(observer);
	vas_unbind(binder);
	vas_destroy(vas);
}

TEST(a_change_inside_a_section_is_refused)
{
	const struct vas_region region = simple_region(1, 1);
	struct vas *vas = simple_vas();

	CHECK_OK(vas_enter(vas));
	CHECK_EQ(vas_region_add(vas, &region, NULL), -EDEADLK);
	vas_leave(vas);
	CHECK_OK(vas_region_add(vas, &region, NULL));
	vas_destroy(vas);
}

/* The default: 32,768 regions, added in an order that is not theirs. */
TEST(thirty_two_thousand_regions_are_one_layout)
{
	const struct vas_options options = { .limit = 1ull << 32 };
	const uint64_t nr = 32768;
	struct vas_layout *layout;
	struct vas_region region;
	struct vas_info info;
	struct vas *vas;
	uint64_t val;

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_layout_begin(vas, &layout));
	for (uint64_t i = 0; i < nr; i++) {
		region = simple_region(2 * (i * 12345 % nr), 1);
		CHECK_OK(vas_layout_add(layout, &region, NULL));
	}
	region = simple_region(2 * nr, 1);
	CHECK_EQ(vas_layout_add(layout, &region, NULL), -ENOSPC);
	CHECK_OK(vas_layout_commit(layout, TEST_HANG_NS, NULL));
	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.nr_regions, nr);
	for (uint64_t i = 0; i < nr; i += 97) {
		CHECK_OK(vas_store_le64(vas, 2 * i * PAGE + 8, i, __ATOMIC_RELAXED));
		CHECK_OK(vas_load_le64(vas, 2 * i * PAGE + 8, &val, __ATOMIC_RELAXED));
		CHECK_EQ(val, i);
		CHECK_EQ(vas_load_le64(vas, (2 * i + 1) * PAGE, &val, __ATOMIC_RELAXED), -EFAULT);
	}
	vas_destroy(vas);
}

TEST(a_destroyed_vas_is_empty_for_its_binders)
{
	struct vas *vas = simple_vas(), *binder;
	struct vas_info info;
	uint8_t byte;

	simple_add(vas, 1, 1);
	CHECK_OK(vas_bind(vas_fd(vas), 0, &binder));
	CHECK_OK(vas_read(binder, PAGE, &byte, 1, NULL));
	vas_destroy(vas);
	CHECK_EQ(vas_read(binder, PAGE, &byte, 1, NULL), -EFAULT);
	CHECK_OK(vas_info(binder, &info));
	CHECK_EQ(info.owner_pid, 0);
	CHECK_EQ(info.nr_regions, 0);
	vas_unbind(binder);
}

TEST(a_vas_frozen_by_nobody_is_not_frozen)
{
	struct vas *vas = simple_vas();
	struct vas_info info;

	CHECK_OK(vas_info(vas, &info));
	CHECK_EQ(info.state_flags & (VAS_STATE_FROZEN | VAS_STATE_TRACKING), 0);
	vas_destroy(vas);
}
