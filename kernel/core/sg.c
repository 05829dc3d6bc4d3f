// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Ranges of guest memory as a scatterlist: pinned like a map, but by page and not by address. */
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include <linux/vas.h>

#include "mapping.h"

/* Where the walk over all pages of all ranges stands, and the entry that is growing. */
struct run {
	struct scatterlist *next; /* NULL: only count */
	unsigned int nr;
	unsigned int max_segment;
	phys_addr_t start;
	unsigned int len;
};

static void flush_run(struct run *run)
{
	if (!run->len)
		return;
	run->nr++;
	if (run->next) {
		sg_set_page(run->next, pfn_to_page(PHYS_PFN(run->start)), run->len,
			    offset_in_page(run->start));
		run->next = sg_next(run->next);
	}
	run->len = 0;
}

static void add_bytes(struct run *run, phys_addr_t start, unsigned int len)
{
	if (run->len && (start != run->start + run->len || run->len > run->max_segment - len))
		flush_run(run);
	if (!run->len)
		run->start = start;
	run->len += len;
}

static void walk_mapping(struct run *run, const struct vas_mapping *mapping)
{
	u64 left = mapping->len, at = offset_in_page(mapping->gpa);
	unsigned long i;

	for (i = 0; left; i++) {
		unsigned int len = min_t(u64, left, PAGE_SIZE - at);

		add_bytes(run, page_to_phys(mapping->window.pages[i]) + at, len);
		left -= len;
		at = 0;
	}
	flush_run(run); /* an entry is never of two ranges */
}

static unsigned int walk(struct vas_sg *sg, struct scatterlist *first)
{
	struct run run = { .next = first, .max_segment = sg->max_segment };
	unsigned int i;

	for (i = 0; i < sg->nr_mappings; i++)
		walk_mapping(&run, sg->mappings[i]);
	return run.nr;
}

static void unmap_ranges(struct vas_sg *sg)
{
	while (sg->nr_mappings)
		vas_mapping_destroy(sg->mappings[--sg->nr_mappings]);
	kfree(sg->mappings);
	sg->mappings = NULL;
}

static int map_ranges(struct vas *vas, const struct vas_range *ranges, unsigned int nr, u32 flags,
		      struct vas_sg *sg)
{
	int err;

	sg->nr_mappings = 0;
	sg->mappings = kcalloc(nr, sizeof(*sg->mappings), GFP_KERNEL_ACCOUNT);
	if (!sg->mappings)
		return -ENOMEM;
	while (sg->nr_mappings < nr) {
		const struct vas_range *range = &ranges[sg->nr_mappings];

		err = vas_mapping_create(vas, range->gpa, range->len, flags | VAS_MAPPING_PAGES,
					 &sg->mappings[sg->nr_mappings]);
		if (err) {
			unmap_ranges(sg);
			return err;
		}
		sg->nr_mappings++;
	}
	return 0;
}

/**
 * vas_sg_map - pin ranges of guest memory as a scatterlist
 * @vas: the binding
 * @ranges: what, in the order in which it shall be in the list
 * @nr: how many, not 0
 * @flags: VAS_MAPPING_WRITE if a device or anybody else will write; VAS_MAPPING_MARKS as for
 *	vas_mapping_create()
 * @sg: its @max_segment is set by the caller; the rest is filled in
 *
 * sg->table is then ready for dma_map_sgtable(). Each range is a map of its own, in sg->mappings:
 * what is said of maps holds, and ops are called with those. May sleep.
 *
 * Return: 0, or as vas_mapping_create(); nothing is pinned then.
 */
int vas_sg_map(struct vas *vas, const struct vas_range *ranges, unsigned int nr, u32 flags,
	       struct vas_sg *sg)
{
	int err;

	if (!nr || flags & ~(VAS_MAPPING_WRITE | VAS_MAPPING_MARKS))
		return -EINVAL;
	if (!sg->max_segment)
		sg->max_segment = 1u << 30;
	if (sg->max_segment < PAGE_SIZE)
		return -EINVAL;
	err = map_ranges(vas, ranges, nr, flags, sg);
	if (err)
		return err;
	err = sg_alloc_table(&sg->table, walk(sg, NULL), GFP_KERNEL_ACCOUNT);
	if (err) {
		unmap_ranges(sg);
		return err;
	}
	walk(sg, sg->table.sgl);
	return 0;
}
EXPORT_SYMBOL_GPL(vas_sg_map);

/**
 * vas_sg_unmap - undo vas_sg_map()
 * @sg: no device uses it any more: dma_unmap_sgtable() was called
 *
 * May be called from the ops. May sleep.
 */
void vas_sg_unmap(struct vas_sg *sg)
{
	sg_free_table(&sg->table);
	unmap_ranges(sg);
}
EXPORT_SYMBOL_GPL(vas_sg_unmap);

/**
 * vas_sg_has - a map is one of a scatterlist's
 * @sg: the scatterlist
 * @mapping: as an op was given it
 *
 * Return: true if the op is about @sg.
 */
bool vas_sg_has(const struct vas_sg *sg, const struct vas_mapping *mapping)
{
	unsigned int i;

	for (i = 0; i < sg->nr_mappings; i++)
		if (sg->mappings[i] == mapping)
			return true;
	return false;
}
EXPORT_SYMBOL_GPL(vas_sg_has);
