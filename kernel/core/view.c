// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "view.h"

#include <linux/mm.h>
#include <linux/sched/mm.h>
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

/* A generation as core reads it, into a view of our own. */
struct reading {
	struct vas_generation g;
	struct vas_view *view;
};

/* Each try may need another size. */
static int room(struct vas_generation *g)
{
	struct reading *r = container_of(g, struct reading, g);
	u32 nr = max(g->state.nr_regions, 1u);

	/* Pages that are not filled yet would be zeros to us, who send no requests for them. */
	if (g->state.flags & VAS_STATE_LAZY)
		return -EBUSY;
	kvfree(r->view->regions);
	g->regions = kvmalloc_array(nr, sizeof(*g->regions), VAS_GFP_LARGE);
	r->view->regions = g->regions;
	return g->regions ? 0 : -ENOMEM;
}

/* Of a local region it is the vas's own; of a file that is not there yet nobody can say. */
static bool is_file_readonly(const struct vas_backing *backing)
{
	return smp_load_acquire(&backing->file) && vas_backing_is_readonly(backing);
}

static u32 entry_flags(struct vas *vas, const struct vas_region_entry *region,
		       const struct vas_backing_entry *backings)
{
	/* Pairs with vas_binding_add_backing(): whoever sees the file sees the rest. */
	const struct vas_backing *backing = &vas->backings[region->backing];
	u32 flags = 0;

	if (region->flags & VAS_REGION_READONLY)
		flags |= VAS_REGION_MAP_ROM;
	if (!vas->readonly && !(region->flags & VAS_REGION_READONLY) && !is_file_readonly(backing))
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

static int build(struct vas *vas, struct reading *r)
{
	struct vas_view *view = r->view;
	int err = vas_generation_copy(&vas->proto, &r->g);

	if (err)
		return err;
	view->generation = r->g.state.generation;
	view->flags = r->g.state.flags;
	view->map.entries = kvmalloc_array(max(r->g.state.nr_regions, 1u),
					   sizeof(*view->map.entries), VAS_GFP_LARGE);
	if (!view->map.entries)
		return -ENOMEM;
	fill_map(vas, &r->g.state, view, r->g.backings);
	return 0;
}

/* Too large for the stack: the backings are copied with it. */
static struct vas_view *build_current(struct vas *vas)
{
	struct reading *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	struct vas_view *view;
	int err = -ENOMEM;

	if (!r)
		return ERR_PTR(-ENOMEM);
	r->g.room = room;
	r->view = kzalloc(sizeof(*r->view), GFP_KERNEL_ACCOUNT);
	view = r->view;
	if (view)
		err = build(vas, r);
	if (err) {
		vas_view_free(view);
		view = ERR_PTR(err);
	}
	kfree(r);
	return view;
}

static int rebuild_locked(struct vas *vas)
{
	struct mem_cgroup *caller = set_active_memcg(vas->backings[0].memcg);
	struct vas_view *old, *view = build_current(vas);

	set_active_memcg(caller);
	if (IS_ERR(view))
		return PTR_ERR(view);
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
