// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Consumers come and go, follow what is committed, and say what they are. */
#include "lib/layout/consumer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/handle/lock.h"
#include "lib/handle/log.h"
#include "lib/layout/stale.h"

#define ALL_FLAGS                                                                \
	(VAS_CONSUMER_PINS | VAS_CONSUMER_UNLOGGED | VAS_CONSUMER_ALWAYS_DIRTY | \
	 VAS_CONSUMER_DEVICE_REGIONS | VAS_CONSUMER_BINDERS | VAS_CONSUMER_UNSTOPPABLE)

/* ---- the list ------------------------------------------------------------------------------ */

/* Behind all others; but those with binders behind them stand before those that have none. */
static void list_add(struct vas *vas, struct vas_consumer *consumer)
{
	struct vas_consumer *before = vas->last_consumer;

	while (consumer->flags & VAS_CONSUMER_BINDERS && before &&
	       !(before->flags & VAS_CONSUMER_BINDERS))
		before = before->previous;
	consumer->previous = before;
	consumer->next = before ? before->next : vas->consumers;
	*(before ? &before->next : &vas->consumers) = consumer;
	*(consumer->next ? &consumer->next->previous : &vas->last_consumer) = consumer;
}

static void list_remove(struct vas *vas, struct vas_consumer *consumer)
{
	*(consumer->previous ? &consumer->previous->next : &vas->consumers) = consumer->next;
	*(consumer->next ? &consumer->next->previous : &vas->last_consumer) = consumer->previous;
	consumer->next = consumer->previous = NULL;
}

struct vas_consumer *vas_consumers_with(const struct vas *vas, uint32_t flags)
{
	struct vas_consumer *c;

	for (c = vas->consumers; c && !(c->flags & flags); c = c->next)
		;
	return c;
}

/* Informational, for others; the names that have room. */
static void tell_consumers(struct vas *vas)
{
	char names[VAS_CONSUMERS_LEN] = "";
	const struct vas_consumer *c;
	size_t len = 0;

	for (c = vas->consumers; c && len < sizeof(names); c = c->next)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s%s", len ? "," : "",
					c->ops->name, c->out_of_step ? "!" : "");
	vas_binder_set_consumers(&vas->proto, names);
}

/* ---- in step, out of step ------------------------------------------------------------------ */

static void set_status(struct vas *vas, struct vas_consumer *c, int answer)
{
	int err = answer > 0 ? -EINVAL : answer; /* neither 0 nor an error */
	bool changed = c->out_of_step != err;

	__atomic_store_n(&c->out_of_step, err, __ATOMIC_RELEASE);
	if (changed)
		tell_consumers(vas);
}

static void commit_one(struct vas *vas, struct vas_consumer *c, const struct vas_delta *delta)
{
	c->steps &= ~(1u << STEP_PREPARE);
	set_status(vas, c, c->ops->commit(c, delta));
}

void vas_consumers_commit(struct vas *vas, const struct delta *delta)
{
	struct vas_consumer *c;

	for (c = vas->consumers; c; c = c->next)
		commit_one(vas, c, vas_delta_for(delta, c));
}

static void retry_one(struct vas *vas, struct vas_consumer *c)
{
	if (c->out_of_step && c->ops->retry)
		set_status(vas, c, c->ops->retry(c));
}

void vas_consumers_retry(struct vas *vas)
{
	struct vas_consumer *c;

	for (c = vas->consumers; c; c = c->next)
		retry_one(vas, c);
}

int vas_consumer_status(const struct vas_consumer *consumer)
{
	return __atomic_load_n(&consumer->out_of_step, __ATOMIC_ACQUIRE);
}

int vas_consumer_retry(struct vas_consumer *consumer)
{
	NO_CANCEL;
	struct vas *vas = consumer->vas;
	int err;

	pthread_mutex_lock(&vas->change);
	retry_one(vas, consumer);
	err = consumer->out_of_step;
	pthread_mutex_unlock(&vas->change);
	return err;
}

/* ---- attach -------------------------------------------------------------------------------- */

static int check_flags(const struct vas *vas, const struct vas_consumer *c)
{
	uint32_t unlogged = VAS_CONSUMER_UNLOGGED | VAS_CONSUMER_ALWAYS_DIRTY;

	if (c->flags & ~ALL_FLAGS || (c->flags & unlogged) == unlogged)
		return vas_error_set(-EINVAL,
				     "consumer %s: unknown flags, or flags that contradict each "
				     "other: %#x",
				     c->ops->name, c->flags);
	if (c->flags & VAS_CONSUMER_PINS && vas->own.flags & VAS_STATE_LAZY)
		return vas_error_set(-EBUSY,
				     "%s pins memory, and lazy pages are not all filled: "
				     "vas_lazy_wait() first",
				     c->ops->name);
	if (c->flags & VAS_CONSUMER_UNLOGGED && vas->own.flags & VAS_STATE_TRACKING)
		return vas_error_set(-EBUSY, "%s writes without logging, and the vas is tracked",
				     c->ops->name);
	if (c->flags & VAS_CONSUMER_UNSTOPPABLE && vas->own.flags & VAS_STATE_FROZEN)
		return vas_error_set(-EOPNOTSUPP, "%s cannot be stopped, and the vas is frozen",
				     c->ops->name);
	return 0;
}

/* Frozen and tracking before it can write anything. */
static int take_over_state(struct vas *vas, struct vas_consumer *c, const struct step *freeze,
			   const struct step *track)
{
	int err = 0;

	if (vas->own.flags & VAS_STATE_FROZEN)
		err = vas_step_take_one(vas, freeze, c);
	if (err || !(vas->own.flags & VAS_STATE_TRACKING))
		return err;
	err = vas_step_take_one(vas, track, c);
	if (err)
		vas_step_undo_one(freeze, c);
	return err;
}

static int attach(struct vas *vas, struct vas_consumer *c, const struct step *prepare)
{
	struct step freeze = *prepare, track = *prepare;
	int err = check_flags(vas, c);

	freeze.kind = STEP_FREEZE_WRITERS;
	track.kind = STEP_TRACK;
	if (err)
		return err;
	list_add(vas, c);
	if (c->flags & VAS_CONSUMER_PINS)
		err = vas_memory_populate(vas, vas->own.regions, vas->own.nr, prepare->deadline_ns);
	if (!err)
		err = take_over_state(vas, c, &freeze, &track);
	if (err)
		goto err_remove;
	err = vas_step_take_one(vas, prepare, c);
	if (err)
		goto err_undo;
	tell_consumers(vas);
	commit_one(vas, c, vas_delta_for(prepare->delta, c));
	return 0;

err_undo:
	vas_step_undo_one(&track, c);
	vas_step_undo_one(&freeze, c);
err_remove:
	list_remove(vas, c);
	return err;
}

int vas_consumer_attach(struct vas *vas, struct vas_consumer *consumer, uint64_t timeout_ns,
			struct vas_blocker *blocker)
{
	struct vas_blocker nobody;
	struct delta delta;
	struct step prepare = { STEP_PREPARE, &delta, vas_deadline_ns(timeout_ns),
				blocker ? blocker : &nobody };
	int err;

	memset(prepare.blocker, 0, sizeof(*prepare.blocker));
	err = vas_owner_check(vas, "attaches consumers to it");
	if (err)
		return err;
	*consumer =
		(struct vas_consumer){ .ops = consumer->ops, .flags = consumer->flags, .vas = vas };
	pthread_mutex_lock(&vas->change);
	err = vas_delta_init(&delta, NULL, 0, vas->own.regions, vas->own.nr);
	if (!err)
		err = attach(vas, consumer, &prepare);
	vas_delta_clean(&delta);
	pthread_mutex_unlock(&vas->change);
	return err;
}

/* ---- detach -------------------------------------------------------------------------------- */

static bool is_hidden(const struct vas_consumer *c, const struct vas_region *region)
{
	return region->flags & VAS_REGION_DEVICE && !(c->flags & VAS_CONSUMER_DEVICE_REGIONS);
}

/* Without a copy of the layout, so that it cannot fail: in runs of regions that it was told of. */
static void take_all_away(struct vas *vas, struct vas_consumer *c)
{
	const struct vas_region *first = vas->own.regions, *all_end = first + vas->own.nr, *end;

	do {
		while (first < all_end && is_hidden(c, first))
			first++;
		for (end = first; end < all_end && !is_hidden(c, end); end++)
			;
		c->ops->commit(c, &(struct vas_delta){ .removed = first,
						       .nr_removed = (size_t)(end - first),
						       .gone = first,
						       .nr_gone = (size_t)(end - first) });
		first = end;
	} while (first < all_end);
}

/* What was ever touched of all that a consumer may write: it does not say what it has written. */
static void mark_always_dirty(struct vas *vas)
{
	uint32_t i;

	for (i = 0; i < vas->own.nr; i++)
		if (!(vas->own.regions[i].flags & VAS_REGION_READONLY))
			vas_log_mark_touched(vas, &vas->log, &vas->own.regions[i]);
}

int vas_consumer_harvest(struct vas *vas, struct vas_consumer *consumer)
{
	if (consumer->flags & VAS_CONSUMER_ALWAYS_DIRTY)
		mark_always_dirty(vas);
	return consumer->ops->harvest ? consumer->ops->harvest(consumer) : 0;
}

static void detach(struct vas *vas, struct vas_consumer *c)
{
	/* What it has logged so far must not be lost with it. */
	if (vas->own.flags & VAS_STATE_TRACKING)
		vas_consumer_harvest(vas, c);
	take_all_away(vas, c);
	vas_step_undo_one(&(struct step){ .kind = STEP_TRACK }, c);
	vas_step_undo_one(&(struct step){ .kind = STEP_FREEZE_WRITERS }, c);
	list_remove(vas, c);
	tell_consumers(vas);
}

void vas_consumer_detach(struct vas_consumer *consumer)
{
	NO_CANCEL;
	struct vas *vas = consumer->vas;
	struct vas_consumer *c;

	pthread_mutex_lock(&vas->change);
	for (c = vas->consumers; c && c != consumer; c = c->next)
		;
	if (c)
		detach(vas, c);
	pthread_mutex_unlock(&vas->change);
}

/* ---- marks --------------------------------------------------------------------------------- */

int vas_mark_dirty(struct vas *vas, uint64_t gpa, uint64_t len)
{
	uint64_t end;

	if (__builtin_add_overflow(gpa, len, &end) || end > vas->sb.limit)
		return -EINVAL;
	vas_log_mark(&vas->log, gpa, len);
	return 0;
}

int vas_mark_dirty_word(struct vas *vas, uint64_t gpa, uint64_t bits)
{
	uint64_t word = gpa / (VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE);

	if (gpa % (VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE) || gpa >= vas->sb.limit)
		return -EINVAL;
	vas_log_mark_word(&vas->log, word, bits);
	return 0;
}
