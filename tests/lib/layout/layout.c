// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/lib/simple_vas.h"

static void refuse_as(struct vas *vas, struct vas_region region, int err, const char *sentence)
{
	uint64_t generation = vas_generation(vas);

	CHECK_EQ(vas_region_add(vas, &region, NULL), err);
	CHECK_HAS(vas_error(), sentence);
	CHECK_EQ(vas_generation(vas), generation);
}

static void refuse(struct vas *vas, struct vas_region region, int err)
{
	refuse_as(vas, region, err, "");
}

TEST(a_region_that_makes_no_sense_is_refused_and_told_why)
{
	struct vas *vas = simple_vas();

	refuse_as(vas, (struct vas_region){ .gpa = 1, .size = PAGE }, -EINVAL,
		  "gpa 0x1: not a multiple of 4096, the page size of backing 0");
	refuse_as(vas, (struct vas_region){ .gpa = PAGE, .size = 100 }, -EINVAL,
		  "size 0x64: not a multiple of 4096, the page size of backing 0");
	refuse_as(vas, (struct vas_region){ .gpa = PAGE, .size = 0 }, -EINVAL,
		  "size: a region of 0 bytes");
	refuse_as(vas, (struct vas_region){ .gpa = PAGE, .size = PAGE, .offset = 5 }, -EINVAL,
		  "offset 0x5: not a multiple of 4096, the page size of backing 0");
	refuse_as(vas, simple_region(256, 1), -EINVAL,
		  "gpa 0x100000, size 0x1000: ends above the limit, 0x100000");
	refuse_as(vas, simple_region(255, 2), -EINVAL,
		  "gpa 0xff000, size 0x2000: ends above the limit, 0x100000");
	refuse_as(vas, (struct vas_region){ .gpa = PAGE, .size = -PAGE, .offset = PAGE }, -EINVAL,
		  "ends above the limit");
	refuse_as(vas, (struct vas_region){ .size = PAGE, .offset = 256 * PAGE }, -EINVAL,
		  "offset 0x100000, size 0x1000: ends above the end of backing 0, 0x100000");
	refuse_as(vas, (struct vas_region){ .size = 2 * PAGE, .offset = 255 * PAGE }, -EINVAL,
		  "ends above the end of backing 0");
	refuse_as(vas, (struct vas_region){ .size = PAGE, .flags = 1u << 20 }, -EINVAL,
		  "flags 0x100000: 0x100000 is unknown");
	refuse_as(vas, (struct vas_region){ .size = PAGE, .backing = 1 }, -EBADF,
		  "backing 1: there is none");
	refuse_as(vas, (struct vas_region){ .size = PAGE, .backing = ~0u }, -EBADF,
		  "backing 4294967295: there is none");
	vas_destroy(vas);
}

TEST(a_local_region_that_makes_no_sense_is_refused_and_told_why)
{
	static char page[PAGE] __attribute__((aligned(PAGE)));
	struct vas *vas = simple_vas();
	struct vas_region region = { .size = PAGE, .flags = VAS_REGION_LOCAL };

	refuse_as(vas, region, -EINVAL, "hva: a region with VAS_REGION_LOCAL needs one");
	region.hva = page + 8;
	refuse_as(vas, region, -EINVAL, "not a multiple of 4096");
	region.hva = page;
	region.offset = PAGE;
	refuse_as(vas, region, -EINVAL, "offset 0x1000, backing 0, flags 0x2: a region with");
	region.offset = 0;
	region.flags = VAS_REGION_DEVICE;
	refuse_as(vas, region, -EINVAL, "flags 0x4: VAS_REGION_DEVICE comes with VAS_REGION_LOCAL");
	region.flags = 0;
	refuse_as(vas, region, -EINVAL, "hva: only a region with VAS_REGION_LOCAL has one");
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
