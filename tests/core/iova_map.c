// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/iova_map.h"

#include <stdbool.h>
#include <stdlib.h>

#include "tests/harness.h"

#define MAX 300u

static struct vas_iova_map map;

static void init(uint32_t max)
{
	uint32_t nr = vas_iova_map_leaves(max);

	map = (struct vas_iova_map){
		.leaves = malloc(nr * sizeof(struct vas_iova_leaf)),
		.root = malloc(nr * sizeof(struct vas_iova_root)),
		.free = malloc(nr * sizeof(uint32_t)),
		.max = max,
	};
	vas_iova_map_init(&map);
}

static void clean(void)
{
	free(map.leaves);
	free(map.root);
	free(map.free);
}

static int add(uint64_t iova, uint64_t last)
{
	const struct vas_iova_range range = { iova, last, iova + 0x100000, 3 };

	return vas_iova_map_add(&map, &range);
}

static bool has(uint64_t iova)
{
	struct vas_iova_range found;

	return vas_iova_map_find(&map, iova, &found);
}

/* Order, sizes, and that nothing of the pool is lost; neighbours are more than half a leaf. */
static void check_shape(void)
{
	uint32_t i, j, nr = 0, before = VAS_IOVA_LEAF;
	uint64_t end = 0;

	for (i = 0; i < map.nr_leaves; i++) {
		const struct vas_iova_leaf *leaf = &map.leaves[map.root[i].leaf];

		CHECK(leaf->nr && leaf->nr <= VAS_IOVA_LEAF);
		CHECK(leaf->nr + before > VAS_IOVA_LEAF / 2);
		CHECK_EQ(leaf->ranges[0].iova, map.root[i].first);
		for (j = 0; j < leaf->nr; j++) {
			CHECK(!nr || leaf->ranges[j].iova > end);
			CHECK(leaf->ranges[j].last >= leaf->ranges[j].iova);
			end = leaf->ranges[j].last;
			nr++;
		}
		before = leaf->nr;
	}
	CHECK_EQ(nr, map.nr);
	CHECK(map.nr_leaves <= map.max_leaves);
}

TEST(an_empty_map_has_nothing)
{
	init(1);
	CHECK(!has(0));
	CHECK(!has(UINT64_MAX));
	CHECK_EQ(vas_iova_map_remove(&map, 0, UINT64_MAX), 0);
	clean();
}

TEST(a_range_has_its_first_and_last_byte_and_no_more)
{
	struct vas_iova_range found;

	init(4);
	CHECK_OK(add(0x1001, 0x2002));
	CHECK(!has(0x1000));
	CHECK(has(0x1001));
	CHECK(has(0x2002));
	CHECK(!has(0x2003));
	CHECK(vas_iova_map_find(&map, 0x1800, &found));
	CHECK_EQ(found.gpa, 0x101001);
	clean();
}

TEST(a_range_may_end_with_the_address_space)
{
	init(4);
	CHECK_OK(add(UINT64_MAX, UINT64_MAX));
	CHECK_OK(add(0, 0));
	CHECK(has(UINT64_MAX));
	CHECK(!has(UINT64_MAX - 1));
	CHECK_EQ(add(0, UINT64_MAX), -EEXIST);
	CHECK_EQ(vas_iova_map_remove(&map, 1, UINT64_MAX), 1);
	CHECK_OK(add(1, UINT64_MAX));
	CHECK_EQ(vas_iova_map_remove(&map, 0, UINT64_MAX), 2);
	CHECK_OK(add(0, UINT64_MAX));
	CHECK(has(UINT64_MAX / 2));
	clean();
}

TEST(what_overlaps_is_refused_wherever_it_does)
{
	init(8);
	CHECK_OK(add(0x1000, 0x1fff));
	CHECK_OK(add(0x3000, 0x3fff));
	CHECK_EQ(add(0x1000, 0x1fff), -EEXIST);
	CHECK_EQ(add(0x0, 0x1000), -EEXIST);
	CHECK_EQ(add(0x1fff, 0x2fff), -EEXIST);
	CHECK_EQ(add(0x1800, 0x1801), -EEXIST);
	CHECK_EQ(add(0x0, 0x5000), -EEXIST);
	CHECK_EQ(add(0x2000, 0x3000), -EEXIST);
	CHECK_OK(add(0x2000, 0x2fff));
	CHECK_OK(add(0x4000, 0x4000));
	CHECK_EQ(map.nr, 4);
	check_shape();
	clean();
}

TEST(a_full_map_has_all_that_it_promises)
{
	for (uint32_t max = 1; max < MAX; max++) {
		init(max);
		for (uint32_t i = 0; i < max; i++)
			CHECK_OK(add(4 * (i * 7919ull % max), 4 * (i * 7919ull % max) + 1));
		CHECK_EQ(add(4 * max, 4 * max), max % 7919 ? -ENOSPC : 0);
		check_shape();
		CHECK_EQ(vas_iova_map_remove(&map, 0, 4 * max), max);
		CHECK_EQ(map.nr_leaves, 0);
		clean();
	}
}

/* What a driver could do to use up the pool: a range in each of many leaves is left. */
TEST(leaves_that_are_nearly_empty_are_joined)
{
	init(MAX);
	for (int round = 0; round < 50; round++) {
		for (uint32_t i = 0; map.nr < MAX; i++)
			add(8 * i + round % 8, 8 * i + round % 8);
		check_shape();
		for (uint64_t at = 0; at < 20 * MAX; at += 8 * 20)
			vas_iova_map_remove(&map, at + 9, at + 8 * 20 - 1);
		check_shape();
		if (round % 3 == 2)
			vas_iova_map_remove(&map, 0, UINT64_MAX);
	}
	clean();
}

#define SPACE 4096u

/* Against a byte for each address. */
TEST(it_agrees_with_a_plain_table)
{
	static uint16_t plain[SPACE];
	struct test_random random = { test_seed() };
	uint32_t nr = 0, i;

	memset(plain, 0, sizeof(plain));
	init(MAX);
	for (uint32_t round = 1; round < 40000; round++) {
		uint32_t iova = (uint32_t)test_random_below(&random, SPACE);
		uint32_t len = 1 + (uint32_t)test_random_below(&random, round % 64 ? 12 : 1500);
		uint32_t last = iova + len - 1 < SPACE ? iova + len - 1 : SPACE - 1, removed = 0;
		struct vas_iova_range found;
		bool is_free = true;

		if (round / 2000 % 2 ? round % 4 : round % 4 == 0) {
			for (i = iova; i <= last; i++)
				is_free = is_free && !plain[i];
			CHECK_EQ(add(iova, last), !is_free ? -EEXIST : nr == MAX ? -ENOSPC : 0);
			if (is_free && nr < MAX) {
				nr++;
				for (i = iova; i <= last; i++)
					plain[i] = (uint16_t)(1 + iova);
			}
		} else {
			for (i = iova; i <= last; i++) {
				uint16_t name = plain[i];

				removed += name != 0;
				for (uint32_t j = 0; name && j < SPACE; j++)
					if (plain[j] == name)
						plain[j] = 0;
			}
			CHECK_EQ(vas_iova_map_remove(&map, iova, last), removed);
			nr -= removed;
		}
		CHECK_EQ(map.nr, nr);
		i = (uint32_t)test_random_below(&random, SPACE);
		CHECK_EQ(vas_iova_map_find(&map, i, &found), plain[i] != 0);
		if (plain[i])
			CHECK_EQ(found.iova, plain[i] - 1);
		if (round % 64 == 0)
			check_shape();
	}
	clean();
}
