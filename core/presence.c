// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/presence.h"

#include <vas/format.h>

uint64_t vas_presence_granules(uint64_t limit, uint32_t shift)
{
	uint64_t granules = limit >> shift;

	if (!vas_is_aligned(limit, 1ull << shift))
		granules++;
	return granules;
}

uint32_t vas_presence_shift(const struct vas_region_map *map, uint64_t limit)
{
	uint64_t borders = 1ull << 40; /* 1 TiB: no coarser, however few the regions */
	uint32_t i, shift;

	for (i = 0; i < map->nr; i++)
		borders |= map->entries[i].gpa | map->entries[i].size;
	shift = (uint32_t)__builtin_ctzll(borders);
	while (vas_presence_granules(limit, shift) > VAS_PRESENCE_MAX_BYTES)
		shift++;
	return shift;
}

static void count_range(uint8_t *granules, uint64_t first, uint64_t end)
{
	for (; first < end; first++)
		granules[first]++;
}

void vas_presence_fill(const struct vas_region_map *map, uint32_t flags, uint32_t shift,
		       uint8_t *granules)
{
	uint64_t start = 0, end = 0;
	uint32_t i;

	/* Adjacent entries are one range: a granule may lie over their border. */
	for (i = 0; i <= map->nr; i++) {
		const struct vas_region_map_entry *e = &map->entries[i];

		if (i < map->nr && (e->flags & flags) != flags)
			continue;
		if (i < map->nr && e->gpa == end) {
			end += e->size;
			continue;
		}
		count_range(granules, vas_align_up(start, 1ull << shift) >> shift, end >> shift);
		if (i < map->nr) {
			start = e->gpa;
			end = e->gpa + e->size;
		}
	}
}
