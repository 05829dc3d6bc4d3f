// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The layout, for those who want to see it. */
#include <linux/minmax.h>
#include <linux/string.h>

#include <linux/vas.h>

#include "binding.h"
#include "view.h"

/**
 * vas_region_at - the region that holds a gpa
 * @vas: the binding
 * @gpa: any of the region's bytes
 * @region: filled in
 *
 * May sleep.
 *
 * Return: 0; -ENOENT: no region does; or as vas_enter().
 */
int vas_region_at(struct vas *vas, u64 gpa, struct vas_region_entry *region)
{
	const struct vas_region_map_entry *entry;
	struct vas_section section;
	int err;

	err = vas_enter(vas, 0, &section);
	if (err)
		return err;
	entry = vas_region_map_find(&section.view->map, gpa);
	if (entry)
		*region = section.view->regions[entry->region];
	err = vas_leave(&section);
	return err ? err : entry ? 0 : -ENOENT;
}
EXPORT_SYMBOL_GPL(vas_region_at);

/**
 * vas_regions - the whole layout
 * @vas: the binding
 * @regions: filled in, sorted by gpa
 * @nr: room there
 *
 * May sleep.
 *
 * Return: how many regions there are, of which no more than @nr are in @regions; or as vas_enter().
 */
int vas_regions(struct vas *vas, struct vas_region_entry *regions, u32 nr)
{
	struct vas_section section;
	int err, nr_regions;

	err = vas_enter(vas, 0, &section);
	if (err)
		return err;
	nr_regions = section.view->map.nr;
	memcpy(regions, section.view->regions, min_t(u32, nr, nr_regions) * sizeof(*regions));
	err = vas_leave(&section);
	return err ? err : nr_regions;
}
EXPORT_SYMBOL_GPL(vas_regions);
