// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/map.h"

#include "tests/harness.h"

#define BOTH (VAS_REGION_MAP_WRITABLE | VAS_REGION_MAP_REACHABLE)

static struct vas_region_map_entry entries[] = {
	{ .gpa = 0x1000, .size = 0x1000, .address = 0x101000, .flags = BOTH },
	{ .gpa = 0x2000, .size = 0x2000, .address = 0x102000, .flags = BOTH },
	{ .gpa = 0x4000, .size = 0x1000, .address = 0x104000, .flags = VAS_REGION_MAP_REACHABLE },
	{ .gpa = 0x5000, .size = 0x1000, .address = 0x905000, .flags = BOTH },
	{ .gpa = 0x8000, .size = 0x1000, .address = 0x908000, .flags = 0 },
};
static const struct vas_region_map map = { entries, 5 };

TEST(find_takes_first_and_last_byte_and_no_more)
{
	CHECK(!vas_region_map_find(&map, 0));
	CHECK(!vas_region_map_find(&map, 0xfff));
	CHECK(vas_region_map_find(&map, 0x1000) == &entries[0]);
	CHECK(vas_region_map_find(&map, 0x1fff) == &entries[0]);
	CHECK(vas_region_map_find(&map, 0x2000) == &entries[1]);
	CHECK(vas_region_map_find(&map, 0x5fff) == &entries[3]);
	CHECK(!vas_region_map_find(&map, 0x6000));
	CHECK(!vas_region_map_find(&map, 0x7fff));
	CHECK(vas_region_map_find(&map, 0x8fff) == &entries[4]);
	CHECK(!vas_region_map_find(&map, 0x9000));
	CHECK(!vas_region_map_find(&map, ~0ull));
}

TEST(next_is_the_first_that_ends_after_gpa)
{
	CHECK(vas_region_map_next(&map, 0) == &entries[0]);
	CHECK(vas_region_map_next(&map, 0x1fff) == &entries[0]);
	CHECK(vas_region_map_next(&map, 0x6000) == &entries[4]);
	CHECK(!vas_region_map_next(&map, 0x9000));
	CHECK(!vas_region_map_next(&map, ~0ull));
}

TEST(an_empty_map_has_nothing)
{
	const struct vas_region_map empty = { NULL, 0 };
	uint64_t address;

	CHECK(!vas_region_map_find(&empty, 0));
	CHECK(!vas_region_map_next(&empty, 0));
	CHECK_EQ(vas_region_map_range(&empty, 0, 1, 0, &address), 0);
}

TEST(a_run_ends_where_addresses_flags_or_memory_do)
{
	uint64_t address;

	CHECK_EQ(vas_region_map_range(&map, 0x1800, 0x100, BOTH, &address), 0x100);
	CHECK_EQ(address, 0x101800);
	/* Over a border where addresses go on, to one where the flags stop it. */
	CHECK_EQ(vas_region_map_range(&map, 0x1800, ~0ull, BOTH, &address), 0x2800);
	/* Without the flag, to one where the addresses jump. */
	CHECK_EQ(vas_region_map_range(&map, 0x1800, ~0ull, VAS_REGION_MAP_REACHABLE, &address),
		 0x3800);
	CHECK_EQ(address, 0x101800);
	CHECK_EQ(vas_region_map_range(&map, 0x5000, ~0ull, BOTH, &address), 0x1000);
	CHECK_EQ(vas_region_map_range(&map, 0x4000, 1, BOTH, &address), 0);
	CHECK_EQ(vas_region_map_range(&map, 0x6000, 1, 0, &address), 0);
	CHECK_EQ(vas_region_map_range(&map, 0x8000, ~0ull, 0, &address), 0x1000);
	CHECK_EQ(vas_region_map_range(&map, 0x8000, 1, VAS_REGION_MAP_REACHABLE, &address), 0);
}

#define NR_RANDOM 500

/* Against a plain walk of the table. */
TEST(find_agrees_with_a_linear_search)
{
	static struct vas_region_map_entry many[NR_RANDOM];
	struct test_random random = { test_seed() };
	const struct vas_region_map big = { many, NR_RANDOM };
	uint64_t at = 0;

	for (int i = 0; i < NR_RANDOM; i++) {
		at += test_random_below(&random, 3);
		many[i].gpa = at;
		many[i].size = 1 + test_random_below(&random, 4);
		at += many[i].size;
	}
	for (uint64_t gpa = 0; gpa < at + 3; gpa++) {
		const struct vas_region_map_entry *find = NULL, *next = NULL;

		for (int i = NR_RANDOM; i-- > 0;)
			if (many[i].gpa + many[i].size > gpa)
				next = &many[i];
		if (next && next->gpa <= gpa)
			find = next;
		CHECK(vas_region_map_find(&big, gpa) == find);
		CHECK(vas_region_map_next(&big, gpa) == next);
	}
}
