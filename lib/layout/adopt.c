// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Becoming an owner: of a new vas, or of one whose owner is gone. */
#include "lib/layout/adopt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/access/lazy.h"
#include "lib/access/view.h"
#include "lib/base/error.h"
#include "lib/events/event.h"
#include "lib/handle/file.h"
#include "lib/handle/generation.h"
#include "lib/handle/log.h"
#include "lib/handle/pins.h"
#include "lib/layout/publish.h"
#include "lib/layout/stale.h"

/* No honest count of generations or ids gets here: there is room to count on for ever. */
#define MAX_COUNT (1ull << 62)

static void become_owner(struct vas *vas)
{
	pthread_mutex_lock(&vas->lock);
	__atomic_store_n(&vas->role, VAS_ROLE_OWNER, __ATOMIC_RELAXED);
	vas_binder_set_flags(&vas->proto, VAS_BINDER_OWNER);
	vas->ctl->owner_pid = (uint32_t)getpid();
	/* From vas->own now. If there is no memory, whoever enters next tries again. */
	if (vas->view)
		vas_view_rebuild(vas);
	pthread_mutex_unlock(&vas->lock);
}

int vas_publish_first(struct vas *vas)
{
	struct vas_region *none = calloc(1, sizeof(*none));

	if (!none)
		return -ENOMEM;
	vas->own.next_id = 1;
	vas_publish_flag(vas, VAS_STATE_FENCE, vas->bind_flags & VAS_BIND_FENCE);
	become_owner(vas);
	return vas_publish(vas, none, 0);
}

/* ---- what is taken over ------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int damaged(const char *what)
{
	return vas_error_set(-EPROTO, "the control area is damaged, and cannot be adopted: %s",
			     what);
}

/* What a binder need not mind, but an owner would go on counting from: *next_id is free. */
static int check_ids(const struct region_set *set, uint64_t told, uint64_t *next_id)
{
	uint64_t *ids = malloc((set->nr + 1) * sizeof(*ids));
	int err = 0;
	uint32_t i;

	if (!ids)
		return vas_error_set(-ENOMEM, "no memory for a list of regions");
	for (i = 0; i < set->nr; i++)
		ids[i] = set->regions[i].id;
	qsort(ids, set->nr, sizeof(*ids), by_number);
	for (i = 1; !err && i < set->nr; i++)
		if (ids[i] == ids[i - 1])
			err = damaged("two regions have one id");
	*next_id = set->nr ? ids[set->nr - 1] + 1 : 1;
	if (*next_id < told)
		*next_id = told;
	if (!err && (*next_id > MAX_COUNT || (set->nr && ids[set->nr - 1] >= MAX_COUNT)))
		err = damaged("an id that no owner has given");
	free(ids);
	return err;
}

/* Regions whose memory died with their owner are not taken over. */
static struct vas_region *inherited(const struct region_set *set, uint32_t *nr)
{
	struct vas_region *regions = malloc((set->nr + 1) * sizeof(*regions));
	uint32_t i;

	*nr = 0;
	for (i = 0; regions && i < set->nr; i++)
		if (!(set->regions[i].flags & VAS_REGION_LOCAL))
			regions[(*nr)++] = set->regions[i];
	return regions;
}

/* Whatever an entry that is not in use holds, it is not ours to publish. */
static void clear_unused_backings(struct vas *vas)
{
	uint32_t i;

	for (i = 1; i < VAS_MAX_BACKINGS; i++) {
		struct backing *b = &vas->backings[i];

		if (b->entry.flags & VAS_BACKING_USED)
			continue;
		vas_backing_close(b);
		b->entry = (struct vas_backing_entry){ 0 };
	}
}

static void disinherit(struct vas *vas)
{
	free(vas->own.regions);
	vas->own = (struct own_layout){ 0 };
	vas_stale_free(&vas->stale);
}

/*
 * The adopter's own layout is what the dead owner last published: from the view, which is private
 * and was checked as a whole, and checked here for what only an owner minds.
 */
static int inherit(struct vas *vas)
{
	struct own_layout *own = &vas->own;
	const struct vas_state *state = &vas->view->state;
	int err = state->generation < MAX_COUNT ? 0 : damaged("a generation beyond all counts");

	/* Of when this handle owned it before: vas_handover_give(). */
	disinherit(vas);
	if (!err)
		err = check_ids(vas->view->set,
				__atomic_load_n(&vas->ctl->next_region_id, __ATOMIC_RELAXED),
				&own->next_id);
	if (err)
		return err;
	own->regions = inherited(vas->view->set, &own->nr);
	if (!own->regions)
		return vas_error_set(-ENOMEM, "no memory for the layout");
	own->generation = state->generation;
	own->regions_generation = state->regions_generation;
	own->table = state->table;
	own->flags = state->flags & ~VAS_STATE_FROZEN;
	__atomic_store_n(&vas->is_tracked, own->flags & VAS_STATE_TRACKING, __ATOMIC_RELAXED);
	clear_unused_backings(vas);
	return vas_stale_inherit(vas);
}

/* What others are to read is what was checked, whatever a peer has made of it since. */
static void mend_table(struct vas *vas)
{
	struct vas_region_entry *table =
		vas_extent(vas, vas->own.table ? VAS_EXT_TABLE1 : VAS_EXT_TABLE0);
	struct vas_region_entry entry;
	uint32_t i;

	for (i = 0; i < vas->own.nr; i++) {
		vas_region_to_entry(&vas->own.regions[i], &entry);
		if (memcmp(&table[i], &entry, sizeof(entry)))
			table[i] = entry;
	}
}

/*
 * A new generation, which undoes a half-written state. The other table is left as it is: it tells
 * the next adopter, should this one die before its first change, what this one knows from it. Only
 * if memory died with the owner is it needed now.
 */
static int publish_inherited(struct vas *vas, bool incomplete_regions)
{
	struct own_layout *own = &vas->own;
	struct vas_region *copy;
	int err;

	if (!incomplete_regions) {
		mend_table(vas);
		return vas_publish(vas, NULL, 0);
	}
	copy = malloc((own->nr ? own->nr : 1) * sizeof(*copy));
	if (!copy)
		return vas_error_set(-ENOMEM, "no memory for the layout");
	memcpy(copy, own->regions, own->nr * sizeof(*copy));
	err = vas_publish(vas, copy, own->nr);
	if (err)
		free(copy);
	return err;
}

static bool is_all_there(struct vas *vas)
{
	uint32_t i;

	for (i = 0; i < vas->own.nr; i++)
		if (vas_lazy_misses(vas, vas->own.regions[i].gpa, vas->own.regions[i].size))
			return false;
	return true;
}

/*
 * If all is there and its owner died before it published that, or while it did, this publishes it.
 */
static void adopt_lazy(struct vas *vas)
{
	uint32_t i;

	if (vas->own.flags & VAS_STATE_LAZY && !is_all_there(vas)) {
		__atomic_store_n(&vas->ctl->lazy_failed, LAZY_NEVER, __ATOMIC_RELEASE);
		return;
	}
	vas_publish_flag(vas, VAS_STATE_LAZY, false);
	__atomic_store_n(&vas->ctl->lazy_log, 0, __ATOMIC_RELEASE);
	/* Its place, which perhaps nothing names any more. */
	for (i = 0; i < vas->sb.nr_trackers; i++)
		vas_tracker_release(&vas->proto, i, VAS_TAG_IMMORTAL);
}

/* What the dead owner answered for. */
static void take_over(struct vas *vas)
{
	__atomic_fetch_add(&vas->ctl->owner_epoch, 1, __ATOMIC_RELAXED);
	/* What the dead owner's consumers had logged, a guest's writes among it, died with it. */
	if (vas->own.flags & VAS_STATE_TRACKING)
		vas_log_set_incomplete(vas);
	adopt_lazy(vas);
	pthread_mutex_lock(&vas->lock);
	vas_event_adopt(vas);
	pthread_mutex_unlock(&vas->lock);
}

int vas_publish_adopted(struct vas *vas)
{
	struct pin_set all = vas_pins_all(vas);
	int err;

	pthread_mutex_lock(&vas->lock);
	err = vas_view_refresh(vas);
	pthread_mutex_unlock(&vas->lock);
	if (err)
		return err;
	/* Who has owned it before, or whose parent has, still has a copy of what was then. */
	disinherit(vas);
	err = inherit(vas);
	if (err)
		goto err_disinherit;
	take_over(vas);
	vas_publish_flag(vas, VAS_STATE_FENCE, vas->bind_flags & VAS_BIND_FENCE);
	err = publish_inherited(vas, vas->own.nr != vas->view->set->nr);
	if (err)
		goto err_disinherit;
	become_owner(vas);
	/* what the dead owner had requested */
	vas_pins_ask(vas, &all, VAS_PINS_KEEP, NULL);
	return 0;

err_disinherit:
	disinherit(vas);
	return err;
}

void vas_publish_last(struct vas *vas)
{
	struct vas_region *none = calloc(1, sizeof(*none));

	pthread_mutex_lock(&vas->change);
	if (none && vas_publish(vas, none, 0))
		free(none);
	pthread_mutex_unlock(&vas->change);
}
