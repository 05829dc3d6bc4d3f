// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "view.h"

#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "alloc.h"
#include "binding.h"
#include "core/layout.h"
#include "counters.h"
#include "local.h"
#include "inode.h"
#include "trace.h"

void vas_view_free(struct vas_view *view)
{
	if (!view)
		return;
	kvfree(view->map.entries);
	kvfree(view->regions);
	kfree(view);
}

static void free_rcu_view(struct rcu_head *rcu)
{
	vas_view_free(container_of(rcu, struct vas_view, rcu));
}

static struct vas_view *alloc_view(const struct vas_state *state)
{
	struct vas_view *view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);
	u32 nr = max(state->nr_regions, 1u);

	if (!view)
		return NULL;
	view->regions = kvmalloc_array(nr, sizeof(*view->regions), VAS_GFP_LARGE);
	view->map.entries = kvmalloc_array(nr, sizeof(*view->map.entries), VAS_GFP_LARGE);
	if (!view->regions || !view->map.entries) {
		vas_view_free(view);
		return NULL;
	}
	view->generation = state->generation;
	view->flags = state->flags;
	return view;
}

/* Copy and check the state of the generation of now. -EAGAIN: it changed meanwhile. */
static int read_state(const struct vas *vas, struct vas_state *state)
{
	u64 generation =
		smp_load_acquire(&vas->control->generation); /* pairs with the owner's P3 */
	int err;

	memcpy(state, &vas->control->state[generation & 1], sizeof(*state));
	/* The copy is older than this look; pairs with the owner's P3 of a later change. */
	smp_rmb();
	if (READ_ONCE(vas->control->generation) != generation)
		return -EAGAIN;
	err = vas_state_check(vas->sb, state, generation);
	/* Pages that are not filled yet would be zeros to us, who send no requests for them. */
	return !err && state->flags & VAS_STATE_LAZY ? -EBUSY : err;
}

static int read_table(const struct vas *vas, const struct vas_state *state,
		      struct vas_region_entry *regions, struct vas_backing_entry *backings)
{
	const struct vas_extent *extents = vas->sb->extents;
	int err;

	err = vas_backing_read(&vas->backings[0], extents[VAS_EXT_TABLE0 + state->table].offset,
			       regions, state->nr_regions * sizeof(*regions));
	if (err)
		return err;
	err = vas_backing_read(&vas->backings[0], extents[VAS_EXT_BACKINGS].offset, backings,
			       state->nr_backings * sizeof(*backings));
	if (err)
		return err;
	smp_rmb(); /* as in read_state() */
	if (READ_ONCE(vas->control->generation) != state->generation)
		return -EAGAIN;
	return vas_table_check(vas->sb, state, regions, backings);
}

static u32 entry_flags(struct vas *vas, const struct vas_region_entry *region,
		       const struct vas_backing_entry *backings)
{
	/* Pairs with vas_binding_add_backing(): whoever sees the file sees the rest. */
	const struct vas_backing *backing = &vas->backings[region->backing];
	u32 flags = 0;

	if (region->flags & VAS_REGION_READONLY)
		flags |= VAS_REGION_MAP_ROM;
	if (!vas->readonly && !(region->flags & VAS_REGION_READONLY))
		flags |= VAS_REGION_MAP_WRITABLE;
	if (region->flags & VAS_REGION_LOCAL)
		return vas_local_find(vas, region) ? flags | VAS_REGION_MAP_REACHABLE : flags;
	/* The vas's own file is what was bound, whatever device and inode the table may tell. */
	if (!region->backing || (smp_load_acquire(&backing->file) &&
				 vas_backing_is(backing, &backings[region->backing])))
		flags |= VAS_REGION_MAP_REACHABLE;
	return flags;
}

static void fill_map(struct vas *vas, const struct vas_state *state, struct vas_view *view,
		     const struct vas_backing_entry *backings)
{
	u32 i;

	for (i = 0; i < state->nr_regions; i++) {
		const struct vas_region_entry *region = &view->regions[i];

		view->map.entries[i] = (struct vas_region_map_entry){
			.gpa = region->gpa,
			.size = region->size,
			.address = region->flags & VAS_REGION_LOCAL ? vas_local_find(vas, region) :
								      region->offset,
			.flags = entry_flags(vas, region, backings),
			.region = i,
		};
	}
	view->map.nr = state->nr_regions;
}

static int build(struct vas *vas, const struct vas_state *state, struct vas_view **result)
{
	struct vas_backing_entry *backings;
	struct vas_view *view;
	int err;

	backings = kmalloc_array(state->nr_backings, sizeof(*backings), GFP_KERNEL_ACCOUNT);
	if (!backings)
		return -ENOMEM;
	view = alloc_view(state);
	if (!view) {
		err = -ENOMEM;
		goto out_free_backings;
	}
	err = read_table(vas, state, view->regions, backings);
	if (err) {
		vas_view_free(view);
		goto out_free_backings;
	}
	fill_map(vas, state, view, backings);
	*result = view;
out_free_backings:
	kfree(backings);
	return err;
}

static int rebuild_locked(struct vas *vas)
{
	struct vas_view *old, *view;
	struct vas_state state;
	int err;

	err = read_state(vas, &state);
	if (!err)
		err = build(vas, &state, &view);
	if (err)
		return err;
	vas_count(VAS_COUNT_VIEWS, 1);
	trace_vas_generation(vas, view->generation, view->flags);
	old = rcu_replace_pointer(vas->view, view, lockdep_is_held(&vas->view_lock));
	if (old)
		call_srcu(&vas->info->srcu, &old->rcu, free_rcu_view);
	return 0;
}

/*
 * Build a view anew, even if there is one of this generation. -EAGAIN: the layout changes all the
 * time; -EINTR; or as vas_view_refresh(). May sleep.
 */
int vas_view_rebuild(struct vas *vas)
{
	int err, tries;

	for (tries = 0; tries < VAS_VIEW_MAX_TRIES; tries++) {
		mutex_lock(&vas->view_lock);
		err = rebuild_locked(vas);
		mutex_unlock(&vas->view_lock);
		if (err != -EAGAIN)
			break;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return err;
}

/**
 * vas_view_refresh - build the view of the generation of now, unless somebody has
 * @vas: the binding
 *
 * May sleep.
 *
 * Return: 0; -EPROTO: the control area is damaged; -EAGAIN: the layout changed meanwhile: try
 * again, but not more than VAS_VIEW_MAX_TRIES times; -ENOMEM; -EIO: the table cannot be read.
 */
int vas_view_refresh(struct vas *vas)
{
	const struct vas_view *view;
	int err = 0;

	mutex_lock(&vas->view_lock);
	view = rcu_dereference_protected(vas->view, lockdep_is_held(&vas->view_lock));
	if (!view || view->generation != READ_ONCE(vas->control->generation))
		err = rebuild_locked(vas);
	mutex_unlock(&vas->view_lock);
	return err;
}
