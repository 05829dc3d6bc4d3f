// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "memory.h"

#include "binding.h"
#include "view.h"

/*
 * The part of [gpa, gpa + len) that lies in the region that holds gpa. -EFAULT: none does; -EACCES:
 * VAS_WRITE, and it cannot be written; -ENXIO: its memory is not at hand.
 */
int vas_stretch_find(const struct vas_section *section, u64 gpa, u64 len, u32 flags,
		     struct vas_stretch *stretch)
{
	const struct vas_view *view = section->view;
	const struct vas_map_entry *entry = vas_map_find(&view->map, gpa);
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
