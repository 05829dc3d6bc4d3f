// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/map.h"

const struct vas_region_map_entry *vas_region_map_next(const struct vas_region_map *map,
						       uint64_t gpa)
{
	uint32_t low = 0, nr = map->nr;

	/*
	 * Invariant: entries before low end at or before gpa, those from low + nr on end after it.
	 */
	while (nr) {
		const struct vas_region_map_entry *e = &map->entries[low + nr / 2];

		if (e->gpa + e->size <= gpa) {
			low += nr / 2 + 1;
			nr -= nr / 2 + 1;
		} else {
			nr /= 2;
		}
	}
	return low < map->nr ? &map->entries[low] : 0;
}

const struct vas_region_map_entry *vas_region_map_find(const struct vas_region_map *map,
						       uint64_t gpa)
{
	const struct vas_region_map_entry *e = vas_region_map_next(map, gpa);

	return e && e->gpa <= gpa ? e : 0;
}

uint64_t vas_region_map_range(const struct vas_region_map *map, uint64_t gpa, uint64_t len,
			      uint32_t flags, uint64_t *address)
{
	const struct vas_region_map_entry *e = vas_region_map_find(map, gpa);
	uint64_t range;

	if (!e || (e->flags & flags) != flags)
		return 0;
	*address = e->address + (gpa - e->gpa);
	range = e->size - (gpa - e->gpa);
	while (range < len && ++e < map->entries + map->nr) {
		if (e->gpa != gpa + range || e->address != *address + range ||
		    (e->flags & flags) != flags)
			break;
		range += e->size;
	}
	return range < len ? range : len;
}
