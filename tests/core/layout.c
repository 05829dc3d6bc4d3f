// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/layout.h"

#include "tests/harness.h"

static struct vas_superblock planned(void)
{
	struct vas_superblock sb = {
		.page_size = 4096,
		.ram_size = 1 << 24,
		.limit = 1 << 24,
		.max_regions = 16,
		.nr_slots = 8,
		.nr_binders = 8,
		.nr_pins = 8,
		.nr_events = 8,
		.nr_backings = 4,
		.nr_trackers = 2,
		.nr_devices = 2,
		.features_optional = VAS_FEATURE_DEVICES,
	};

	CHECK_OK(vas_superblock_plan(&sb));
	return sb;
}

static struct vas_state state_of(uint32_t nr_regions)
{
	return (struct vas_state){
		.generation = 1,
		.regions_generation = 1,
		.nr_regions = nr_regions,
		.nr_backings = 1,
	};
}

static void backings_of(const struct vas_superblock *sb, struct vas_backing_entry *backings)
{
	memset(backings, 0, 4 * sizeof(*backings));
	backings[0].flags = VAS_BACKING_USED;
	backings[0].size = sb->ram_size;
	backings[0].page_size = sb->page_size;
}

TEST(a_plan_passes_its_own_check)
{
	struct vas_superblock sb = planned();

	CHECK_OK(vas_superblock_check(&sb, sb.file_size, VAS_FEATURES_REQUIRED_KNOWN));
	CHECK_EQ(sb.file_size % 4096, 0);
	CHECK_EQ(vas_superblock_check(&sb, sb.file_size + 4096, VAS_FEATURES_REQUIRED_KNOWN),
		 -EPROTO);
	CHECK_EQ(vas_superblock_check(&sb, sb.file_size - 4096, VAS_FEATURES_REQUIRED_KNOWN),
		 -EPROTO);
	CHECK_EQ(vas_superblock_check(&sb, 0, VAS_FEATURES_REQUIRED_KNOWN), -EPROTO);
}

TEST(the_largest_limit_can_be_planned)
{
	struct vas_superblock sb = planned();

	sb.limit = sb.ram_size = VAS_MAX_GPA;
	CHECK_OK(vas_superblock_plan(&sb));
	CHECK_OK(vas_superblock_check(&sb, sb.file_size, VAS_FEATURES_REQUIRED_KNOWN));
	sb.limit += 4096;
	CHECK_EQ(vas_superblock_plan(&sb), -EINVAL);
	sb = planned();
	sb.ram_size = VAS_MAX_GPA + 4096;
	CHECK_EQ(vas_superblock_plan(&sb), -EINVAL);
}

TEST(a_plan_of_nonsense_is_refused)
{
	struct vas_superblock sb = planned();

	sb.page_size = 8192;
	CHECK_EQ(vas_superblock_plan(&sb), -EINVAL);
	sb = planned();
	sb.limit = 0;
	CHECK_EQ(vas_superblock_plan(&sb), -EINVAL);
	sb = planned();
	sb.ram_size = 4095;
	CHECK_EQ(vas_superblock_plan(&sb), -EINVAL);
	sb = planned();
	sb.max_regions = 0;
	CHECK_EQ(vas_superblock_plan(&sb), -EINVAL);
	sb = planned();
	sb.nr_backings = VAS_MAX_BACKINGS + 1;
	CHECK_EQ(vas_superblock_plan(&sb), -EINVAL);
}

TEST(extents_that_overlap_or_leave_the_file_are_refused)
{
	for (int i = 0; i < VAS_EXT_COUNT; i++) {
		static const int64_t by[] = { -4096, 1, 4095, 1ll << 62, INT64_MIN };

		for (size_t k = 0; k < sizeof(by) / sizeof(by[0]); k++) {
			struct vas_superblock sb = planned();

			test_note("extent %d by %lld", i, (long long)by[k]);
			sb.extents[i].offset += (uint64_t)by[k];
			CHECK_EQ(vas_superblock_check(&sb, sb.file_size,
						      VAS_FEATURES_REQUIRED_KNOWN),
				 -EPROTO);
			sb = planned();
			sb.extents[i].size += (uint64_t)by[k];
			CHECK_EQ(vas_superblock_check(&sb, sb.file_size,
						      VAS_FEATURES_REQUIRED_KNOWN),
				 -EPROTO);
		}
	}
}

/* As in a file that was made by one who knew no devices. */
TEST(without_the_feature_the_devices_extent_is_nothing)
{
	struct vas_superblock sb = planned();

	sb.features_optional = 0;
	sb.nr_devices = VAS_MAX_DEVICES + 1;
	sb.extents[VAS_EXT_DEVICES].offset = 1;
	CHECK_OK(vas_superblock_check(&sb, sb.file_size, VAS_FEATURES_REQUIRED_KNOWN));
	sb.features_optional = VAS_FEATURE_DEVICES;
	CHECK_EQ(vas_superblock_check(&sb, sb.file_size, VAS_FEATURES_REQUIRED_KNOWN), -EPROTO);
}

TEST(a_state_is_of_its_generation)
{
	const struct vas_superblock sb = planned();
	struct vas_state state = state_of(0);

	CHECK_OK(vas_state_check(&sb, &state, 1));
	CHECK_EQ(vas_state_check(&sb, &state, 2), -EPROTO);
	CHECK_EQ(vas_state_check(&sb, &state, 0), -EPROTO);
	state.generation = 0;
	CHECK_EQ(vas_state_check(&sb, &state, 0), -EPROTO);
	state = state_of(0);
	state.regions_generation = 2;
	CHECK_EQ(vas_state_check(&sb, &state, 1), -EPROTO);
	state = state_of(0);
	state.table = 2;
	CHECK_EQ(vas_state_check(&sb, &state, 1), -EPROTO);
	state = state_of(17);
	CHECK_EQ(vas_state_check(&sb, &state, 1), -EPROTO);
	state = state_of(0);
	state.nr_backings = 0;
	CHECK_EQ(vas_state_check(&sb, &state, 1), -EPROTO);
	state.nr_backings = 5;
	CHECK_EQ(vas_state_check(&sb, &state, 1), -EPROTO);
	state = state_of(0);
	state.flags = VAS_STATE_KNOWN + 1;
	CHECK_EQ(vas_state_check(&sb, &state, 1), -EPROTO);
}

static int check_one(struct vas_region_entry r)
{
	const struct vas_superblock sb = planned();
	struct vas_backing_entry backings[4];

	backings_of(&sb, backings);
	return vas_region_check(&sb, &r, &backings[0]);
}

TEST(a_region_lies_aligned_within_limit_and_backing)
{
	const uint64_t end = 1 << 24;

	CHECK_OK(check_one((struct vas_region_entry){ .gpa = 0, .size = end }));
	CHECK_OK(check_one((struct vas_region_entry){ .gpa = end - 4096, .size = 4096 }));
	CHECK_EQ(check_one((struct vas_region_entry){ .size = 0 }), -EINVAL);
	CHECK_EQ(check_one((struct vas_region_entry){ .size = end + 4096 }), -EINVAL);
	CHECK_EQ(check_one((struct vas_region_entry){ .gpa = end, .size = 4096 }), -EINVAL);
	CHECK_EQ(check_one((struct vas_region_entry){ .gpa = 1, .size = 4096 }), -EINVAL);
	CHECK_EQ(check_one((struct vas_region_entry){ .size = 4097 }), -EINVAL);
	CHECK_EQ(check_one((struct vas_region_entry){ .size = 4096, .offset = 8 }), -EINVAL);
	CHECK_EQ(check_one((struct vas_region_entry){ .size = 4096, .offset = end }), -EINVAL);
	CHECK_EQ(check_one((struct vas_region_entry){ .size = -4096ull, .gpa = 8192 }), -EINVAL);
	CHECK_EQ(check_one((struct vas_region_entry){ .size = 8192, .offset = -4096ull }), -EINVAL);
	CHECK_EQ(check_one((struct vas_region_entry){ .size = 8192, .gpa = -4096ull }), -EINVAL);
	CHECK_EQ(check_one((struct vas_region_entry){ .size = 4096, .flags = 4 }), -EINVAL);
}

TEST(a_table_is_sorted_without_overlap)
{
	const struct vas_superblock sb = planned();
	struct vas_state state = state_of(3);
	struct vas_backing_entry backings[4];
	struct vas_region_entry r[3] = {
		{ .gpa = 0x1000, .size = 0x1000, .id = 1 },
		{ .gpa = 0x2000, .size = 0x3000, .id = 2 },
		{ .gpa = 0x8000, .size = 0x1000, .id = 3 },
	};

	backings_of(&sb, backings);
	CHECK_OK(vas_table_check(&sb, &state, r, backings));
	r[1].size = 0x7000;
	CHECK_EQ(vas_table_check(&sb, &state, r, backings), -EPROTO);
	r[1].size = 0x3000;
	r[2].gpa = 0x1000;
	CHECK_EQ(vas_table_check(&sb, &state, r, backings), -EPROTO);
	r[2].gpa = 0x8000;
	r[2].id = 0;
	CHECK_EQ(vas_table_check(&sb, &state, r, backings), -EPROTO);
	r[2].id = 3;
	r[0].backing = 1;
	CHECK_EQ(vas_table_check(&sb, &state, r, backings), -EPROTO);
	r[0].backing = ~0u;
	CHECK_EQ(vas_table_check(&sb, &state, r, backings), -EPROTO);
	r[0].backing = 0;
	r[1].name[VAS_REGION_NAME_LEN - 1] = 'x';
	CHECK_EQ(vas_table_check(&sb, &state, r, backings), -EPROTO);
}

TEST(backing_zero_is_the_ram_of_the_file)
{
	const struct vas_superblock sb = planned();
	struct vas_state state = state_of(0);
	struct vas_backing_entry backings[4];

	backings_of(&sb, backings);
	backings[0].size = sb.file_size; /* would let a region reach the control area */
	CHECK_EQ(vas_table_check(&sb, &state, NULL, backings), -EPROTO);
	backings_of(&sb, backings);
	backings[0].page_size = 2 << 20;
	CHECK_EQ(vas_table_check(&sb, &state, NULL, backings), -EPROTO);
	backings_of(&sb, backings);
	backings[0].flags = 0;
	CHECK_EQ(vas_table_check(&sb, &state, NULL, backings), -EPROTO);
}

TEST(a_backing_that_is_not_in_use_holds_no_region)
{
	const struct vas_superblock sb = planned();
	struct vas_state state = state_of(1);
	struct vas_backing_entry backings[4];
	struct vas_region_entry r = { .size = 4096, .backing = 1, .id = 1 };

	backings_of(&sb, backings);
	state.nr_backings = 2;
	CHECK_EQ(vas_table_check(&sb, &state, &r, backings), -EPROTO);
	backings[1].flags = VAS_BACKING_USED;
	backings[1].size = 4096;
	backings[1].page_size = 4096;
	CHECK_OK(vas_table_check(&sb, &state, &r, backings));
	backings[1].page_size = 12345;
	CHECK_EQ(vas_table_check(&sb, &state, &r, backings), -EPROTO);
}
