// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "memory.h"

#include "section.h"

/*
 * The same region as last time, most likely: then the cost does not depend on how many there are.
 */
static const struct vas_region_map_entry *find_entry(const struct vas_section *section, u64 gpa)
{
	const struct vas_region_map *map = &section->view->map;
	struct vas_slot_holder *slot_holder = section->slot_holder;
	const struct vas_region_map_entry *entry;

	if (unlikely(!slot_holder))
		return vas_region_map_find(map, gpa);
	entry = &map->entries[slot_holder->hint];
	if (likely(slot_holder->hint < map->nr && gpa - entry->gpa < entry->size))
		return entry;
	entry = vas_region_map_find(map, gpa);
	if (entry)
		slot_holder->hint = entry - map->entries;
	return entry;
}

/*
 * The part of [gpa, gpa + len) that lies in the region that holds gpa. -EFAULT: none does; -EACCES:
 * VAS_PROT_WRITE, and it cannot be written; -ENXIO: its memory is not available.
 */
int vas_memory_range_find(const struct vas_section *section, u64 gpa, u64 len, u32 flags,
			  struct vas_memory_range *range)
{
	const struct vas_view *view = section->view;
	const struct vas_region_map_entry *entry = find_entry(section, gpa);
	const struct vas_region_entry *region;
	u64 at;

	if (!entry)
		return -EFAULT;
	if (flags & VAS_PROT_WRITE && !(entry->flags & VAS_REGION_MAP_WRITABLE))
		return -EACCES;
	region = &view->regions[entry->region];
	if (!(entry->flags & VAS_REGION_MAP_REACHABLE))
		return -ENXIO;
	at = gpa - entry->gpa;
	range->entry = entry;
	range->backing =
		region->flags & VAS_REGION_LOCAL ? NULL : &section->vas->backings[region->backing];
	range->offset = entry->address + at;
	range->len = min(len, entry->size - at);
	return 0;
}
