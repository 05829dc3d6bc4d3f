/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The layout of one generation, as a private copy that was checked. */
#ifndef VAS_KERNEL_VIEW_H
#define VAS_KERNEL_VIEW_H

#include <linux/rcupdate.h>
#include <linux/types.h>

#include <vas/format.h>

#include "core/map.h"

struct vas;
struct vas_backing;

/**
 * struct vas_view - immutable once published in vas->view
 * @rcu: frees it once no section is in it
 * @generation: which the state and table had
 * @flags: VAS_STATE_*
 * @map: the regions; an entry's address is its offset in its backing or, if local, its hva; its
 *	region indexes @regions
 * @regions: the table
 */
struct vas_view {
	struct rcu_head rcu;
	u64 generation;
	u32 flags;
	struct vas_region_map map;
	struct vas_region_entry *regions;
};

/*
 * An owner that changes the layout faster than we can copy it makes us give up, and so does whoever
 * pretends to. The bound is for a call as a whole: a table can be large.
 */
#define VAS_VIEW_MAX_TRIES 100

int vas_view_refresh(struct vas *vas);
int vas_view_rebuild(struct vas *vas);
void vas_view_free(struct vas_view *view);

#endif
