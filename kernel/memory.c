// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "memory.h"

#include "section.h"

/* The same region as last time, most likely: then the cost does not depend on how many there are. */
static const struct vas_map_entry *find_entry(const struct vas_section *section, u64 gpa)
{
	const struct vas_map *map = &section->view->map;
	struct vas_lane *lane = section->lane;
	const struct vas_map_entry *entry;

	if (unlikely(!lane))
		return vas_map_find(map, gpa);
	entry = &map->entries[lane->hint];
	if (likely(lane->hint < map->nr && gpa - entry->gpa < entry->size))
		return entry;
	entry = vas_map_find(map, gpa);
	if (entry)
		lane->hint = entry - map->entries;
	return entry;
}

/*
 * The part of [gpa, gpa + len) that lies in the region that holds gpa. -EFAULT: none does; -EACCES:
 * VAS_WRITE, and it cannot be written; -ENXIO: its memory is not at hand.
 */
int vas_stretch_find(const struct vas_section *section, u64 gpa, u64 len, u32 flags,
		     struct vas_stretch *stretch)
{
	const struct vas_view *view = section->view;
	const struct vas_map_entry *entry = find_entry(section, gpa);
	const struct vas_region_entry *region;
	u64 at;

	if (!entry)
		return -EFAULT;
	if (flags & VAS_WRITE && !(entry->flags & VAS_MAP_WRITABLE))
		return -EACCES;
	region = &view->regions[entry->region];
	if (!(entry->flags & VAS_MAP_REACHABLE))
		return -ENXIO;
	at = gpa - entry->gpa;
	stretch->entry = entry;
	stretch->backing = region->flags & VAS_REGION_LOCAL ?
				   NULL : &section->vas->backings[region->backing];
	stretch->offset = entry->address + at;
	stretch->len = min(len, entry->size - at);
	return 0;
}
