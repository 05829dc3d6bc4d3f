// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A layout is made real, for everyone or for no one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/handle/pins.h"
#include "lib/layout/consumer.h"
#include "lib/layout/delta.h"
#include "lib/layout/layout.h"
#include "lib/layout/publish.h"
#include "lib/layout/stale.h"

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
	vas_stale_punch(vas, freeze->deadline_ns);
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
	vas_layout_abort(layout);
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
