// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Freeze and thaw: all writers stop, or none does. docs/design/freeze.md. */
#include <errno.h>
#include <string.h>

#include <vas/dirty.h>

#include "lib/dirty/freeze.h"

#include "lib/base/clock.h"
#include "lib/layout/consumer.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/base/futex.h"
#include "lib/handle/generation.h"
#include "lib/handle/lock.h"
#include "lib/handle/notify.h"
#include "lib/handle/pins.h"
#include "lib/layout/publish.h"

/* No new pin for writing can appear: the sections that might have made one have ended. */
static int wait_for_pins(struct vas *vas, uint64_t deadline_ns, struct vas_blocker *blocker)
{
	struct pin_set all = vas_pins_all(vas);
	int err = vas_pins_wait(vas, &all, VAS_PINS_QUIESCE, deadline_ns, blocker);

	return err ? vas_error_set(err, "process %u (%s) keeps writing to [%#llx, +%#llx)",
				   blocker->pid, blocker->name, (unsigned long long)blocker->gpa,
				   (unsigned long long)blocker->size) :
		     0;
}

void vas_writers_freeze(struct vas *vas)
{
	struct pin_set all = vas_pins_all(vas);

	vas_publish_flag(vas, VAS_STATE_FROZEN, true);
	vas_publish(vas, NULL, 0);
	/* At once, so that holders have all the time there is. */
	vas_pins_ask(vas, &all, VAS_PINS_QUIESCE, NULL);
}

void vas_writers_thaw(struct vas *vas)
{
	struct pin_set all = vas_pins_all(vas);

	vas_publish_flag(vas, VAS_STATE_FROZEN, false);
	/* First the generation: a holder that sees its pin HELD again finds the vas open. */
	vas_publish(vas, NULL, 0);
	vas_pins_ask(vas, &all, VAS_PINS_KEEP, NULL);
	vas_notify_everyone(vas);
}

/* Nobody is asked any more: neither sections, nor holders of pins. */
static int wait_for_binders(struct vas *vas, const struct step *step)
{
	int err = vas_publish_wait(vas, NULL, step->deadline_ns, step->blocker);

	return err ? err : wait_for_pins(vas, step->deadline_ns, step->blocker);
}

static int check_stoppable(const struct vas *vas, struct vas_blocker *blocker)
{
	const struct vas_consumer *c = vas_consumers_with(vas, VAS_CONSUMER_UNSTOPPABLE);

	if (!c)
		return 0;
	vas_consumer_report(c, blocker);
	return vas_error_set(-EOPNOTSUPP,
			     "%s writes guest memory, and cannot be stopped: detach it first",
			     c->ops->name);
}

/*
 * Binders first, and the consumers that can ask them at once; the others last: a guest that still
 * runs is paused for as short as can be.
 */
static int freeze(struct vas *vas, const struct step *step)
{
	int err;

	if (vas->own.flags & VAS_STATE_FROZEN)
		return vas_error_set(-EALREADY, "the vas is frozen already");
	err = check_stoppable(vas, step->blocker);
	if (err)
		return err;
	vas_writers_freeze(vas);
	err = vas_step_start(vas, step, STEP_BINDERS);
	if (err)
		goto err_thaw_writers;
	err = wait_for_binders(vas, step);
	if (err)
		goto err_thaw_consumers;
	err = vas_step_start(vas, step, STEP_OTHERS);
	if (!err)
		err = vas_step_finish(vas, step);
	if (err)
		goto err_thaw_writers;
	return 0;

err_thaw_consumers:
	vas_step_undo(vas, step);
err_thaw_writers:
	vas_writers_thaw(vas);
	return err;
}

int vas_freeze(struct vas *vas, uint64_t timeout_ns, struct vas_blocker *blocker)
{
	NO_CANCEL;
	struct vas_blocker nobody;
	struct step step = { .kind = STEP_FREEZE_WRITERS,
			     .deadline_ns = vas_deadline_ns(timeout_ns),
			     .blocker = blocker ? blocker : &nobody };
	int err;

	memset(step.blocker, 0, sizeof(*step.blocker));
	err = vas_owner_check(vas, "freezes it");
	if (err)
		return err;
	pthread_mutex_lock(&vas->change);
	err = freeze(vas, &step);
	pthread_mutex_unlock(&vas->change);
	return err;
}

int vas_freeze_check(struct vas *vas, struct vas_blocker *blocker)
{
	NO_CANCEL;
	struct vas_blocker nobody;
	int err = vas_owner_check(vas, "freezes it");

	if (err)
		return err;
	pthread_mutex_lock(&vas->change);
	err = check_stoppable(vas, blocker ? blocker : &nobody);
	pthread_mutex_unlock(&vas->change);
	return err;
}

int vas_thaw(struct vas *vas)
{
	NO_CANCEL;
	int err = vas_owner_check(vas, "thaws it");

	if (err)
		return err;
	pthread_mutex_lock(&vas->change);
	if (vas->own.flags & VAS_STATE_FROZEN) {
		vas_writers_thaw(vas);
		vas_step_undo(vas, &(struct step){ .kind = STEP_FREEZE_WRITERS });
	} else {
		err = vas_error_set(-EINVAL, "the vas is not frozen");
	}
	pthread_mutex_unlock(&vas->change);
	return err;
}

int vas_wait_thawed(struct vas *vas, uint64_t timeout_ns)
{
	NO_CANCEL;
	uint64_t deadline_ns = vas_deadline_ns(timeout_ns);
	struct vas_state state;
	uint32_t seen;
	int err;

	for (;;) {
		seen = __atomic_load_n(&vas->ctl->notify, __ATOMIC_ACQUIRE);
		err = vas_state_read(vas, &state);
		if (err || !(state.flags & VAS_STATE_FROZEN))
			return err;
		if (vas_now_ns() >= deadline_ns)
			return vas_error_set(-ETIMEDOUT, "the vas is frozen still");
		vas_futex_wait(&vas->ctl->notify, seen, deadline_ns);
	}
}
