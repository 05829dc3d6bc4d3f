// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/access/view.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/presence.h"
#include "lib/handle/barrier.h"
#include "lib/base/error.h"
#include "lib/base/map_count.h"
#include "lib/handle/thread.h"
#include "lib/access/window.h"
#include "lib/base/error.h"
#include "lib/handle/barrier.h"
#include "lib/handle/file.h"
#include "lib/handle/thread.h"

static void view_free(struct view *view)
{
	uint32_t i;

	if (!view)
		return;
	for (i = 0; view->segments && i < view->set->nr; i++)
		vas_segment_put(view->segments[i]);
	free(view->segments);
	vas_window_put(view->window);
	vas_region_set_put(view->set);
	free(view->map.entries);
	free(view->presence);
	free(view);
}

/* ---- segments ----------------------------------------------------------------------------- */

static bool same_bytes(const struct vas_region *a, const struct vas_region *b)
{
	return a->id == b->id && a->gpa == b->gpa && a->size == b->size && a->offset == b->offset &&
	       a->backing == b->backing && a->flags == b->flags;
}

/* A living view's segment for the same bytes at the same place, or NULL. */
static struct segment *segment_in(const struct view *living, const struct window *window,
				  const struct vas_region *region)
{
	const struct vas_region_map_entry *e;

	if (living->window != window)
		return NULL;
	e = vas_region_map_find(&living->map, region->gpa);
	return e && same_bytes(&living->set->regions[e->region], region) ?
		       living->segments[e->region] :
		       NULL;
}

/*
 * Used again, and not mapped a second time over itself: retired views count as well, for a region
 * may be back (a change that was rolled back) before they go and take their segments with them.
 */
static struct segment *known_segment(struct vas *vas, const struct view *view,
				     const struct vas_region *region)
{
	struct segment *segment = vas->view ? segment_in(vas->view, view->window, region) : NULL;
	const struct view *living;

	for (living = vas->retired; !segment && living; living = living->next)
		segment = segment_in(living, view->window, region);
	if (segment)
		segment->refs++;
	return segment;
}

static bool is_available(const struct vas *vas, const struct vas_region *region)
{
	return !(region->flags & VAS_REGION_LOCAL) && vas->backings[region->backing].fd >= 0;
}

static bool needs_segment(const struct vas *vas, const struct view *view,
			  const struct vas_region *region)
{
	return is_available(vas, region) &&
	       !(view->window && vas_window_shows(view->window, region));
}

/* Its bytes go on where those before it end: over a window the kernel makes one map of both. */
static bool goes_on(const struct vas_region *before, const struct vas_region *region)
{
	return before->backing == region->backing && before->flags == region->flags &&
	       before->gpa + before->size == region->gpa &&
	       before->offset + before->size == region->offset;
}

/* Over a window a piece splits the map that it lies on. */
static uint64_t count_maps(const struct vas *vas, const struct view *view)
{
	const struct vas_region *r = view->set->regions;
	uint64_t nr = 1;
	uint32_t i;

	for (i = 0; i < view->set->nr; i++) {
		if (!needs_segment(vas, view, &r[i]))
			continue;
		if (!view->window)
			nr++;
		else if (!i || !goes_on(&r[i - 1], &r[i]))
			nr += 2;
	}
	return nr;
}

static int fill_segments(struct vas *vas, struct view *view)
{
	uint32_t i;

	view->segments = calloc(view->set->nr ? view->set->nr : 1, sizeof(*view->segments));
	if (!view->segments)
		return -ENOMEM;
	for (i = 0; i < view->set->nr; i++) {
		const struct vas_region *region = &view->set->regions[i];

		if (!needs_segment(vas, view, region))
			continue;
		view->segments[i] = known_segment(vas, view, region);
		if (!view->segments[i])
			view->segments[i] = vas_segment_new(vas, view->window, region);
		if (!view->segments[i])
			return -ENOMEM;
	}
	return 0;
}

/* ---- the window --------------------------------------------------------------------------- */

/*
 * A living view of the window has other bytes than `region` somewhere in its range: mapping the
 * region there would change them under a section.
 */
static bool disturbs(const struct window *window, const struct view *living,
		     const struct vas_region *region)
{
	const struct vas_region_map_entry *e;

	if (living->window != window)
		return false;
	e = vas_region_map_next(&living->map, region->gpa);
	for (; e && e < living->map.entries + living->map.nr; e++) {
		const struct vas_region *other = &living->set->regions[e->region];

		if (e->gpa >= region->gpa + region->size)
			break;
		if (!(vas_window_shows(window, other) && vas_window_shows(window, region)) &&
		    !same_bytes(other, region))
			return true;
	}
	return false;
}

static bool window_serves(struct vas *vas, struct window *window, const struct region_set *set)
{
	const struct view *living;
	uint32_t i;

	for (i = 0; i < set->nr; i++) {
		if (disturbs(window, vas->view, &set->regions[i]))
			return false;
		for (living = vas->retired; living; living = living->next)
			if (disturbs(window, living, &set->regions[i]))
				return false;
	}
	return true;
}

static void choose_window(struct vas *vas, struct view *view)
{
	struct window *window = vas->view ? vas->view->window : NULL;

	if (vas->bind_flags & VAS_BIND_NO_WINDOW)
		return;
	/* A file that was brought, or is gone, shows or does not: not in the same window. */
	if (window && window->shows_file == vas_window_can_show(vas) &&
	    (view->set == vas->view->set || window_serves(vas, window, view->set))) {
		window->refs++;
		view->window = window;
		return;
	}
	/* No room for a window is no failure: the sorted map does the same job. */
	view->window = vas_window_new(vas);
}

/* ---- map and presence ---------------------------------------------------------------------- */

static uint32_t map_flags(const struct vas *vas, const struct view *view, uint32_t i)
{
	const struct vas_region *region = &view->set->regions[i];
	uint32_t flags = 0;

	if (vas_region_is_readonly(vas, region))
		flags |= VAS_REGION_MAP_ROM;
	else if (vas->role != VAS_ROLE_OBSERVER && !(view->state.flags & VAS_STATE_FROZEN))
		flags |= VAS_REGION_MAP_WRITABLE;
	if ((region->hva && !(region->flags & VAS_REGION_DEVICE)) || is_available(vas, region))
		flags |= VAS_REGION_MAP_REACHABLE;
	if (view->window && is_available(vas, region))
		flags |= VAS_REGION_MAP_WINDOW;
	return flags;
}

static int fill_map(struct vas *vas, struct view *view)
{
	uint32_t i, nr = view->set->nr;

	view->map.entries = calloc(nr ? nr : 1, sizeof(*view->map.entries));
	if (!view->map.entries)
		return -ENOMEM;
	view->map.nr = nr;
	for (i = 0; i < nr; i++) {
		const struct vas_region *region = &view->set->regions[i];
		struct vas_region_map_entry *e = &view->map.entries[i];

		e->gpa = region->gpa;
		e->size = region->size;
		e->flags = map_flags(vas, view, i);
		e->region = i;
		if (e->flags & VAS_REGION_MAP_WINDOW)
			e->address = (uintptr_t)view->window->base + region->gpa;
		else if (view->segments[i])
			e->address = (uintptr_t)view->segments[i]->hva;
		else
			e->address = (uintptr_t)region->hva;
	}
	return 0;
}

static int fill_presence(struct vas *vas, struct view *view)
{
	uint32_t shift = vas_presence_shift(&view->map, vas->sb.limit);
	uint64_t granules = view->window ? vas_presence_granules(vas->sb.limit, shift) : 0;

	/* Without a window nr_granules is 0, and the slow path does it all. */
	view->presence = calloc(granules ? granules : 1, sizeof(*view->presence));
	if (!view->presence)
		return -ENOMEM;
	view->head.shift = shift;
	view->head.mask = (1ull << shift) - 1;
	view->head.nr_granules = granules;
	view->head.present = view->presence;
	if (!view->window)
		return 0;
	view->head.base = view->window->base;
	/* While memory is lazy every access goes the slow way, which waits for the pages. */
	if (view->state.flags & VAS_STATE_LAZY)
		return 0;
	vas_presence_fill(&view->map, VAS_REGION_MAP_WINDOW, shift, view->presence);
	vas_presence_fill(&view->map, VAS_REGION_MAP_WINDOW | VAS_REGION_MAP_WRITABLE, shift,
			  view->presence);
	return 0;
}

/* ---- build, publish, retire --------------------------------------------------------------- */

/* The maps of the newest view are charged; while there are two, those of the larger. */
static int fill(struct vas *vas, struct view *view)
{
	uint64_t before = vas->nr_maps;
	int err;

	view->nr_maps = count_maps(vas, view);
	err = vas_maps_charge(&vas->nr_maps, view->nr_maps > before ? view->nr_maps : before);
	if (err)
		return err;
	if (!fill_segments(vas, view) && !fill_map(vas, view) && !fill_presence(vas, view))
		return 0;
	vas_maps_charge(&vas->nr_maps, before);
	return vas_error_set(-ENOMEM, "no memory or no address space for a view of the layout");
}

static int view_build(struct vas *vas, struct snapshot *snapshot, struct view **out)
{
	struct view *view = calloc(1, sizeof(*view));
	int err = -ENOMEM;

	if (!view) {
		vas_region_set_put(snapshot->set);
		return vas_error_set(err, "no memory for a view of the layout");
	}
	view->state = snapshot->state;
	view->set = snapshot->set;
	view->head.flags = snapshot->state.flags;
	/*
	 * Where each look needs a fence before it, marking is the slow way's. While nobody tracks
	 * there is nothing to look at, and a look would allocate the log's page.
	 */
	if (!vas->fence && vas->role != VAS_ROLE_OBSERVER &&
	    view->head.flags & VAS_STATE_TRACKING) {
		view->head.dirty = vas->log.words;
		view->head.nr_dirty = vas->log.nr_pages;
	}
	view->head.serial = ++vas->next_serial;
	choose_window(vas, view);
	err = fill(vas, view);
	if (err)
		view_free(view);
	else
		*out = view;
	return err;
}

/* No section of this process can be in a view that is older than `serial`. */
static bool nobody_before(struct vas *vas, uint64_t serial)
{
	struct thread *t;

	for (t = vas->threads; t; t = t->next)
		if (vas_thread_is_inside(t) &&
		    __atomic_load_n(&t->head.serial, __ATOMIC_RELAXED) < serial)
			return false;
	return true;
}

void vas_view_reap(struct vas *vas)
{
	struct view *view, *next;

	if (!vas->retired)
		return;
	/* Partner of the compiler barrier in vas_enter(): depth is seen, or the new view is. */
	vas_barrier_process();
	if (!nobody_before(vas, vas->view->head.serial))
		return;
	view = vas->retired;
	vas->retired = NULL;
	for (; view; view = next) {
		next = view->next;
		view_free(view);
	}
}

/* Entries of further backings, as the layout now has them; an fd whose entry changed is stale. */
static void follow_backings(struct vas *vas, const struct snapshot *snapshot)
{
	uint32_t i;

	if (vas->role == VAS_ROLE_OWNER)
		return;
	for (i = !vas_has_ram_apart(vas); i < VAS_MAX_BACKINGS; i++) {
		struct backing *b = &vas->backings[i];

		if (!memcmp(&b->entry, &snapshot->backings[i], sizeof(b->entry)))
			continue;
		vas_backing_close(b);
		b->entry = snapshot->backings[i];
	}
}

static int view_replace(struct vas *vas, struct region_set *known, uint64_t known_generation)
{
	struct snapshot snapshot;
	struct view *view = NULL;
	int err;

	err = vas_snapshot_take(vas, known, known_generation, &snapshot);
	if (err)
		return err;
	follow_backings(vas, &snapshot);
	/* Before the view, which goes by it. Markers of older views look at it too. */
	__atomic_store_n(&vas->fence,
			 vas->bind_flags & VAS_BIND_FENCE || snapshot.state.flags & VAS_STATE_FENCE,
			 __ATOMIC_RELAXED);
	err = view_build(vas, &snapshot, &view);
	if (err)
		return err;
	if (vas->view) {
		vas->view->next = vas->retired;
		vas->retired = vas->view;
	}
	vas->view = view;
	vas_maps_charge(&vas->nr_maps, view->nr_maps);
	__atomic_store_n(&vas->seen_flags, view->state.flags, __ATOMIC_RELAXED);
	__atomic_store_n(&vas->seen_generation, view->state.generation, __ATOMIC_RELEASE);
	__atomic_store_n(&vas->head.view, &view->head, __ATOMIC_RELEASE);
	vas_view_reap(vas);
	return 0;
}

int vas_view_refresh(struct vas *vas)
{
	const struct view *view = vas->view;

	if (view &&
	    view->state.generation == __atomic_load_n(&vas->ctl->generation, __ATOMIC_ACQUIRE)) {
		vas_view_reap(vas);
		return 0;
	}
	/* Both change under the lock: if they differ, somebody else wrote the shared one. */
	if (vas->role == VAS_ROLE_OWNER)
		__atomic_store_n(&vas->ctl->generation, vas->own.generation, __ATOMIC_RELEASE);
	if (view && view->state.generation == vas->own.generation && vas->role == VAS_ROLE_OWNER)
		return 0;
	return view ? view_replace(vas, view->set, view->state.regions_generation) :
		      view_replace(vas, NULL, 0);
}

int vas_view_remap(struct vas *vas)
{
	const struct view *view = vas->view;
	uint64_t at = 0;
	uint32_t i;
	int err;

	/* What an old view has over the same window would go. */
	vas_view_reap(vas);
	err = view->window && vas->retired;
	for (i = 0; !err && i < view->set->nr; i++) {
		const struct vas_region *r = &view->set->regions[i];

		if (!view->segments[i])
			continue;
		if (view->window && r->gpa > at)
			err = vas_window_clear(view->window, at, r->gpa - at);
		if (!err)
			err = vas_map_backing(vas, r, 0, r->size, view->segments[i]->hva) ==
			      MAP_FAILED;
		at = r->gpa + r->size;
	}
	if (!err && view->window && at < view->window->size)
		err = vas_window_clear(view->window, at, view->window->size - at);
	return err;
}

int vas_view_rebuild(struct vas *vas)
{
	return view_replace(vas, vas->view->set, vas->view->state.regions_generation);
}

void vas_view_free_all(struct vas *vas)
{
	struct view *view, *next;

	for (view = vas->retired; view; view = next) {
		next = view->next;
		view_free(view);
	}
	view_free(vas->view);
	vas->view = vas->retired = NULL;
	vas_maps_charge(&vas->nr_maps, 0);
}
