// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Transactions: put a layout together, then make it real for everyone or for no one. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/layout.h"
#include "core/range.h"
#include "lib/layout/consumer.h"
#include "lib/base/error.h"
#include "lib/layout/stale.h"
#include "lib/layout/layout.h"
#include "lib/handle/lock.h"
#include "lib/handle/pins.h"
#include "lib/base/cancel.h"
#include "lib/layout/delta.h"
#include "lib/base/name.h"
#include "lib/layout/publish.h"
#include "lib/handle/generation.h"
#include "lib/handle/thread.h"
#include "lib/base/clock.h"

/* ---- putting it together ------------------------------------------------------------------ */

static bool in_section(struct vas *vas)
{
	const struct thread *t = vas_thread_find(vas);

	return t && vas_thread_is_inside(t);
}

int vas_layout_begin(struct vas *vas, struct vas_layout **out)
{
	NO_CANCEL;
	struct vas_layout *layout;
	int err = vas_owner_check(vas, "changes its layout");

	if (err)
		return err;
	if (in_section(vas))
		return vas_error_set(-EDEADLK,
				     "a layout change inside a section would wait for itself");
	layout = calloc(1, sizeof(*layout));
	if (!layout)
		return vas_error_set(-ENOMEM, "no memory for a layout");
	pthread_mutex_lock(&vas->change);
	if (vas->own.flags & VAS_STATE_LAZY) {
		pthread_mutex_unlock(&vas->change);
		free(layout);
		return vas_error_set(-EAGAIN, "pages are still to come: vas_lazy_wait() first");
	}
	layout->vas = vas;
	layout->nr = vas->own.nr;
	layout->room = layout->nr + 16;
	layout->next_id = vas->own.next_id;
	layout->regions = malloc(layout->room * sizeof(*layout->regions));
	if (!layout->regions) {
		pthread_mutex_unlock(&vas->change);
		free(layout);
		return vas_error_set(-ENOMEM, "no memory for a layout of %u regions", vas->own.nr);
	}
	memcpy(layout->regions, vas->own.regions, layout->nr * sizeof(*layout->regions));
	*out = layout;
	return 0;
}

static void layout_free(struct vas_layout *layout)
{
	pthread_mutex_unlock(&layout->vas->change);
	free(layout->regions);
	free(layout);
}

void vas_layout_abort(struct vas_layout *layout)
{
	NO_CANCEL;
	if (layout)
		layout_free(layout);
}

/* The first region that ends after gpa: where one at gpa goes. */
static uint32_t place(const struct vas_layout *layout, uint64_t gpa)
{
	uint32_t low = 0, high = layout->nr;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct vas_region *r = &layout->regions[middle];

		if (r->gpa + r->size <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int check_region(const struct vas_layout *layout, const struct vas_region *region)
{
	const struct vas *vas = layout->vas;
	struct vas_region_entry entry;
	int err;

	if (region->backing >= VAS_MAX_BACKINGS ||
	    !(vas->backings[region->backing].entry.flags & VAS_BACKING_USED))
		return vas_error_set(-EBADF, "there is no backing %u", region->backing);
	if (!!region->hva != !!(region->flags & VAS_REGION_LOCAL) ||
	    (uintptr_t)region->hva % VAS_PAGE_SIZE)
		return vas_error_set(-EINVAL,
				     "hva is for VAS_REGION_LOCAL, which needs it, page aligned");
	vas_region_to_entry(region, &entry);
	err = vas_region_check(&vas->sb, &entry, &vas->backings[region->backing].entry);
	if (err)
		return vas_error_set(
			err,
			"region [%#llx, +%#llx) at offset %#llx: not aligned to its "
			"pages, empty, beyond the limit or its backing, or flags unknown",
			(unsigned long long)region->gpa, (unsigned long long)region->size,
			(unsigned long long)region->offset);
	return 0;
}

static int grow(struct vas_layout *layout)
{
	struct vas_region *regions;
	uint32_t room = layout->room * 2;

	if (layout->nr < layout->room)
		return 0;
	regions = realloc(layout->regions, room * sizeof(*regions));
	if (!regions)
		return vas_error_set(-ENOMEM, "no memory for a layout of %u regions", room);
	layout->regions = regions;
	layout->room = room;
	return 0;
}

static int insert(struct vas_layout *layout, const struct vas_region *region)
{
	uint32_t at = place(layout, region->gpa);
	struct vas_region *here = &layout->regions[at];
	int err;

	if (at < layout->nr && here->gpa < region->gpa + region->size)
		return vas_error_set(
			-EEXIST, "region [%#llx, +%#llx) would overlap [%#llx, +%#llx)",
			(unsigned long long)region->gpa, (unsigned long long)region->size,
			(unsigned long long)here->gpa, (unsigned long long)here->size);
	if (layout->nr >= layout->vas->sb.max_regions)
		return vas_error_set(-ENOSPC, "this vas was created for %u regions", layout->nr);
	err = grow(layout);
	if (err)
		return err;
	here = &layout->regions[at];
	memmove(here + 1, here, (layout->nr - at) * sizeof(*here));
	*here = *region;
	layout->nr++;
	return 0;
}

int vas_layout_add(struct vas_layout *layout, const struct vas_region *region, uint64_t *id)
{
	size_t len = strnlen(region->name, sizeof(region->name) - 1);
	struct vas_region added = *region;
	int err;

	vas_name_clean(added.name, sizeof(added.name));
	err = check_region(layout, &added);
	if (err)
		return err;
	added.id = layout->next_id;
	/* What follows the name's end in the caller's memory has no place in the file. */
	memset(added.name + len, 0, sizeof(added.name) - len);
	err = insert(layout, &added);
	if (err)
		return err;
	layout->next_id++;
	if (id)
		*id = added.id;
	return 0;
}

static struct vas_region *find_id(const struct vas_layout *layout, uint64_t id)
{
	uint32_t i;

	for (i = 0; i < layout->nr; i++)
		if (layout->regions[i].id == id)
			return &layout->regions[i];
	vas_error_set(-ENOENT, "there is no region with the id %llu", (unsigned long long)id);
	return NULL;
}

static void take_out(struct vas_layout *layout, struct vas_region *region)
{
	struct vas_region *end = layout->regions + layout->nr--;

	memmove(region, region + 1, (size_t)(end - region - 1) * sizeof(*region));
}

int vas_layout_remove(struct vas_layout *layout, uint64_t id)
{
	struct vas_region *region = find_id(layout, id);

	if (!region)
		return -ENOENT;
	take_out(layout, region);
	return 0;
}

/* Take the region out and put it back changed; as it was, if that cannot be. */
static int change(struct vas_layout *layout, struct vas_region *region,
		  const struct vas_region *changed)
{
	struct vas_region before = *region;
	int err = check_region(layout, changed);

	if (err)
		return err;
	take_out(layout, region);
	err = insert(layout, changed);
	if (err)
		insert(layout, &before);
	return err;
}

int vas_layout_resize(struct vas_layout *layout, uint64_t id, uint64_t size)
{
	struct vas_region *region = find_id(layout, id), changed;

	if (!region)
		return -ENOENT;
	changed = *region;
	changed.size = size;
	return change(layout, region, &changed);
}

int vas_layout_move(struct vas_layout *layout, uint64_t id, uint64_t gpa)
{
	struct vas_region *region = find_id(layout, id), changed;

	if (!region)
		return -ENOENT;
	changed = *region;
	changed.gpa = gpa;
	return change(layout, region, &changed);
}

/* ---- making it real ----------------------------------------------------------------------- */

/* The old layout again, as a generation of its own. It was published before, so there is room. */
static void roll_back(struct vas *vas, struct vas_region *old, uint32_t nr,
		      const struct delta *delta)
{
	uint64_t failed = vas->own.generation;

	if (vas_publish(vas, old, nr))
		free(old);
	/*
	 * Threads and maps may be using what was there for a moment: it goes with the next change.
	 */
	vas_stale_add_failed(vas, delta->head.added, delta->head.nr_added, failed);
}

/* P1 to P4. *old is a copy of what was there: for a roll_back(), or to be freed. */
static int publish(struct vas_layout *layout, struct vas_region **old)
{
	struct vas *vas = layout->vas;
	size_t size = vas->own.nr * sizeof(**old);
	int err;

	*old = malloc(size + 1);
	if (!*old)
		return vas_error_set(-ENOMEM, "no memory for a copy of the layout");
	memcpy(*old, vas->own.regions, size);
	vas->own.next_id = layout->next_id; /* seen by others from here on, so never used again */
	err = vas_publish(vas, layout->regions, layout->nr);
	if (err)
		free(*old);
	else
		layout->regions = NULL;
	return err;
}

/* P5. What only brings memory, or lets a region grow, has nobody to wait for. */
static int wait_for_old(struct vas *vas, const struct delta *delta, const struct step *step)
{
	struct pin_set gone =
		vas_pins_on(delta->head.gone, delta->head.nr_gone, 0, vas->own.generation);

	if (!gone.nr)
		return 0;
	return vas_publish_wait(vas, &gone, step->deadline_ns, step->blocker);
}

/* P6. Nobody is in the old layout any more, and consumers stand still where it would show. */
static void tear_down(struct vas *vas, const struct delta *delta, const struct step *freeze)
{
	vas_consumers_commit(vas, delta);
	vas_step_undo(vas, freeze);
	vas_stale_add(vas, delta->head.gone, delta->head.nr_gone);
	vas_stale_punch(vas);
}

/* What an earlier change has left behind goes first, and those that are out of step catch up. */
static int begin(struct vas *vas, const struct step *prepare)
{
	int err = vas_stale_settle(vas, prepare->deadline_ns, prepare->blocker);

	if (err)
		return err;
	vas_consumers_retry(vas);
	return vas_memory_reserve(vas, prepare->delta, prepare->deadline_ns);
}

static int commit(struct vas_layout *layout, const struct step *prepare)
{
	const struct delta *delta = prepare->delta;
	struct step freeze = *prepare;
	struct vas *vas = layout->vas;
	uint32_t old_nr = vas->own.nr;
	struct vas_region *old;
	int err;

	freeze.kind = STEP_FREEZE_LAYOUT;
	err = begin(vas, prepare);
	if (err)
		return err;
	err = vas_step_take(vas, prepare);
	if (err)
		goto err_release;
	err = publish(layout, &old);
	if (err)
		goto err_abort;
	err = wait_for_old(vas, delta, prepare);
	if (!err)
		err = vas_step_take(vas, &freeze);
	if (err)
		goto err_roll_back;
	tear_down(vas, delta, &freeze);
	free(old);
	return 0;

err_roll_back:
	roll_back(vas, old, old_nr, delta);
	vas_step_undo(vas, prepare);
	return err;
err_abort:
	vas_step_undo(vas, prepare);
err_release:
	vas_memory_release(vas, delta);
	return err;
}

int vas_layout_commit(struct vas_layout *layout, uint64_t timeout_ns, struct vas_blocker *blocker)
{
	NO_CANCEL;
	struct vas *vas = layout->vas;
	struct vas_blocker nobody;
	struct delta delta;
	struct step prepare = { STEP_PREPARE, &delta, vas_deadline_ns(timeout_ns),
				blocker ? blocker : &nobody };
	int err;

	memset(prepare.blocker, 0, sizeof(*prepare.blocker));
	err = vas_delta_init(&delta, vas->own.regions, vas->own.nr, layout->regions, layout->nr);
	/*
	 * One that changes nothing promises the same: what an earlier one has left is used by
	 * nobody.
	 */
	if (!err && (delta.head.nr_removed || delta.head.nr_added))
		err = commit(layout, &prepare);
	else if (!err)
		err = vas_stale_settle(vas, prepare.deadline_ns, prepare.blocker);
	vas_delta_clean(&delta);
	layout_free(layout);
	return err;
}

/* ---- one change --------------------------------------------------------------------------- */

static int end_single(struct vas_layout *layout, int err)
{
	if (!err)
		return vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, NULL);
	vas_layout_abort(layout);
	return err;
}

int vas_region_add(struct vas *vas, const struct vas_region *region, uint64_t *id)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(vas, &layout);

	return err ? err : end_single(layout, vas_layout_add(layout, region, id));
}

int vas_region_remove(struct vas *vas, uint64_t id)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(vas, &layout);

	return err ? err : end_single(layout, vas_layout_remove(layout, id));
}

int vas_region_resize(struct vas *vas, uint64_t id, uint64_t size)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(vas, &layout);

	return err ? err : end_single(layout, vas_layout_resize(layout, id, size));
}

int vas_region_move(struct vas *vas, uint64_t id, uint64_t gpa)
{
	struct vas_layout *layout;
	int err = vas_layout_begin(vas, &layout);

	return err ? err : end_single(layout, vas_layout_move(layout, id, gpa));
}
