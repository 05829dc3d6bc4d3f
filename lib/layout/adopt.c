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
#include "lib/handle/generation.h"
#include "lib/handle/log.h"
#include "lib/handle/pins.h"
#include "lib/layout/publish.h"
#include "lib/layout/stale.h"

static void become_owner(struct vas *vas)
{
	vas->role = VAS_ROLE_OWNER;
	vas_binder_set_flags(&vas->proto, VAS_BINDER_OWNER);
	vas->ctl->owner_pid = (uint32_t)getpid();
	vas_publish_flag(vas, VAS_STATE_FENCE, vas->bind_flags & VAS_BIND_FENCE);
	vas_view_free_all(vas); /* of a binder: the next is made from vas->own */
}

int vas_publish_first(struct vas *vas)
{
	struct vas_region *none = calloc(1, sizeof(*none));

	if (!none)
		return -ENOMEM;
	vas->own.next_id = 1;
	become_owner(vas);
	return vas_publish(vas, none, 0);
}

/* Regions whose memory died with their owner are not taken over. */
static struct vas_region *inherited(const struct region_set *set, uint32_t *nr, uint64_t *next_id)
{
	struct vas_region *regions = malloc((set->nr ? set->nr : 1) * sizeof(*regions));
	uint32_t i;

	*nr = 0;
	*next_id = 1;
	for (i = 0; regions && i < set->nr; i++) {
		if (set->regions[i].id >= *next_id)
			*next_id = set->regions[i].id + 1;
		if (!(set->regions[i].flags & VAS_REGION_LOCAL))
			regions[(*nr)++] = set->regions[i];
	}
	return regions;
}

/* The adopter's own layout is what the dead owner last published. */
static int inherit(struct vas *vas)
{
	struct own_layout *own = &vas->own;
	const struct vas_state *state = &vas->view->state;
	uint64_t told = vas->ctl->next_region_id;

	own->regions = inherited(vas->view->set, &own->nr, &own->next_id);
	if (!own->regions)
		return vas_error_set(-ENOMEM, "no memory for the layout");
	if (told > own->next_id && told < 1ull << 62)
		own->next_id = told;
	own->generation = state->generation;
	own->regions_generation = state->regions_generation;
	own->table = state->table;
	own->flags = state->flags & ~VAS_STATE_FROZEN;
	return vas_stale_inherit(vas);
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

	if (!incomplete_regions)
		return vas_publish(vas, NULL, 0);
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

int vas_publish_adopted(struct vas *vas)
{
	struct pin_set all = vas_pins_all(vas);
	bool incomplete_regions;
	int err;

	pthread_mutex_lock(&vas->lock);
	err = vas_view_refresh(vas);
	pthread_mutex_unlock(&vas->lock);
	if (err)
		return err;
	err = inherit(vas);
	if (err)
		return err;
	incomplete_regions = vas->own.nr != vas->view->set->nr;
	vas->ctl->owner_epoch++;
	/* What the dead owner's consumers had logged, a guest's writes among it, died with it. */
	if (vas->own.flags & VAS_STATE_TRACKING)
		vas_log_set_incomplete(vas);
	adopt_lazy(vas);
	vas_event_adopt(vas);
	become_owner(vas);
	err = publish_inherited(vas, incomplete_regions);
	if (!err) /* what the dead owner had requested */
		vas_pins_ask(vas, &all, VAS_PINS_KEEP, NULL);
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
