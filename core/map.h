/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The sorted region map: immutable once filled, looked up without a lock. `address` is whatever the
 * user of the map reaches memory by: an hva in libvas, an offset in vas.ko.
 */
#ifndef VAS_CORE_MAP_H
#define VAS_CORE_MAP_H

#include "core/range.h"

#define VAS_REGION_MAP_WRITABLE	 1u /* for binders, in the present state */
#define VAS_REGION_MAP_REACHABLE 2u /* address is good; else the memory is not available here */
#define VAS_REGION_MAP_ROM	 4u /* never writable */
#define VAS_REGION_MAP_WINDOW	 8u /* address is window + gpa */

struct vas_region_map_entry {
	uint64_t gpa;
	uint64_t size;
	uint64_t address;
	uint32_t flags;
	uint32_t region; /* index in the table that the map was made from */
};

struct vas_region_map {
	struct vas_region_map_entry *entries; /* sorted by gpa, no overlap */
	uint32_t nr;
};

/* The entry that holds gpa, or NULL; the first that ends after gpa, or NULL. */
const struct vas_region_map_entry *vas_region_map_find(const struct vas_region_map *map,
						       uint64_t gpa);
const struct vas_region_map_entry *vas_region_map_next(const struct vas_region_map *map,
						       uint64_t gpa);

/*
 * The longest range from gpa, at most len, in which addresses are contiguous and every entry has
 * all of `flags`: its length, and the first address. 0 if gpa itself has none.
 */
uint64_t vas_region_map_range(const struct vas_region_map *map, uint64_t gpa, uint64_t len,
			      uint32_t flags, uint64_t *address);

#endif
