// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/presence.h"

#include <stdlib.h>
#include <vas/format.h>

#include "tests/harness.h"

TEST(the_granule_is_as_fine_as_the_borders)
{
	struct vas_region_map_entry e[] = {
		{ .gpa = 0, .size = 1ull << 31 },
		{ .gpa = 1ull << 32, .size = 1ull << 30 },
	};
	struct vas_region_map map = { e, 2 };

	CHECK_EQ(vas_presence_shift(&map, 1ull << 36), 30);
	e[1].gpa += 4096;
	CHECK_EQ(vas_presence_shift(&map, 1ull << 34), 12);
	e[1].gpa -= 4096;
	e[1].size += 1 << 16;
	CHECK_EQ(vas_presence_shift(&map, 1ull << 36), 16);
}

TEST(the_map_stays_within_its_size)
{
	struct vas_region_map_entry e = { .gpa = 4096, .size = 4096 };
	struct vas_region_map map = { &e, 1 };

	for (int bits = 13; bits <= 52; bits++) {
		uint64_t limit = 1ull << bits;
		uint32_t shift = vas_presence_shift(&map, limit);
		uint64_t bytes = vas_presence_granules(limit, shift);

		test_note("limit 2^%d", bits);
		CHECK(shift >= 12);
		CHECK(bytes <= VAS_PRESENCE_MAX_BYTES);
		CHECK(shift == 12 ||
		      vas_presence_granules(limit, shift - 1) > VAS_PRESENCE_MAX_BYTES);
	}
}

TEST(granules_cover_a_limit_that_is_no_whole_granule)
{
	CHECK_EQ(vas_presence_granules(64 << 12, 12), 64);
	CHECK_EQ(vas_presence_granules((64ull << 20) + 4096, 20), 65);
	CHECK_EQ(vas_presence_granules(4096, 40), 1);
}

#define NR_PAGES 1024u

static void make_map(struct vas_region_map *map, uint8_t *pages, struct test_random *random)
{
	uint64_t at = 0;

	memset(pages, 0, NR_PAGES);
	map->nr = 0;
	while (at < NR_PAGES) {
		uint64_t nr = 1 + test_random_below(random, 40);
		uint32_t flags = (uint32_t)test_random_below(random, 4);

		if (at + nr > NR_PAGES)
			break;
		map->entries[map->nr++] = (struct vas_region_map_entry){
			.gpa = at << 12,
			.size = nr << 12,
			.flags = flags,
		};
		memset(pages + at, (int)flags | 0x80, nr);
		at += nr + (test_random_below(random, 2) ? 0 : test_random_below(random, 10));
	}
}

static int granule_is_whole(const uint8_t *pages, uint64_t granule, uint32_t shift, uint32_t flags)
{
	uint64_t nr = 1ull << (shift - 12);

	for (uint64_t i = granule * nr; i < (granule + 1) * nr; i++)
		if (i >= NR_PAGES || !(pages[i] & 0x80) || (pages[i] & flags) != flags)
			return 0;
	return 1;
}

/* A byte counts a fill exactly if each page of the granule is there with all its flags. */
TEST(a_byte_says_that_all_of_the_granule_is_there)
{
	struct test_random random = { test_seed() };
	struct vas_region_map map = { calloc(NR_PAGES, sizeof(struct vas_region_map_entry)), 0 };
	uint8_t pages[NR_PAGES];
	uint8_t granules[NR_PAGES + 1];

	CHECK(map.entries);
	for (int round = 0; round < 200; round++) {
		uint32_t shift = 12 + (uint32_t)test_random_below(&random, 5);
		uint32_t flags = (uint32_t)test_random_below(&random, 4);

		make_map(&map, pages, &random);
		memset(granules, 0, sizeof(granules));
		vas_presence_fill(&map, flags, shift, granules);
		for (uint64_t g = 0; g < (NR_PAGES >> (shift - 12)) + 1; g++) {
			test_note("round %d, shift %u, flags %u, granule %d", round, shift, flags,
				  (int)g);
			CHECK_EQ(granules[g], granule_is_whole(pages, g, shift, flags));
		}
	}
	free(map.entries);
}
