// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Steps of consumers. What an op may answer, and what is done with it: <vas/consumer.h>. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/layout/consumer.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"

/* So many fds are polled at once; of more consumers than that, all are looked at now and then. */
#define MAX_FDS	 16
#define SLICE_NS 1000000ull

void vas_consumer_report(const struct vas_consumer *consumer, struct vas_blocker *blocker)
{
	memset(blocker, 0, sizeof(*blocker));
	blocker->kind = VAS_BLOCKER_CONSUMER;
	snprintf(blocker->name, sizeof(blocker->name), "%s", consumer->ops->name);
}

/* ---- the ops of a step --------------------------------------------------------------------- */

static int start_track(struct vas_consumer *c, uint64_t deadline_ns)
{
	if (c->flags & VAS_CONSUMER_UNLOGGED)
		return vas_error_set(-EOPNOTSUPP,
				     "%s writes guest memory without logging: nobody can track "
				     "it while it is attached",
				     c->ops->name);
	return c->ops->track ? c->ops->track(c, deadline_ns) : 0;
}

static int call_start(struct vas_consumer *c, const struct step *step)
{
	const struct vas_consumer_ops *ops = c->ops;
	uint64_t deadline_ns = step->deadline_ns;

	switch (step->kind) {
	case STEP_PREPARE:
		return ops->prepare(c, vas_delta_for(step->delta, c), deadline_ns);
	case STEP_FREEZE_WRITERS:
		return ops->freeze ? ops->freeze(c, VAS_FREEZE_WRITERS, deadline_ns) : 0;
	case STEP_FREEZE_LAYOUT:
		return ops->freeze ? ops->freeze(c, VAS_FREEZE_LAYOUT, deadline_ns) : 0;
	case STEP_TRACK:
		return start_track(c, deadline_ns);
	}
	return -EINVAL;
}

static void call_undo(struct vas_consumer *c, const struct step *step)
{
	const struct vas_consumer_ops *ops = c->ops;

	switch (step->kind) {
	case STEP_PREPARE:
		ops->abort(c, vas_delta_for(step->delta, c));
		break;
	case STEP_FREEZE_WRITERS:
		if (ops->freeze)
			ops->thaw(c, VAS_FREEZE_WRITERS);
		break;
	case STEP_FREEZE_LAYOUT:
		if (ops->freeze)
			ops->thaw(c, VAS_FREEZE_LAYOUT);
		break;
	case STEP_TRACK:
		if (ops->track)
			ops->untrack(c);
		break;
	}
}

void vas_step_undo_one(const struct step *step, struct vas_consumer *c)
{
	if (!(c->steps & 1u << step->kind))
		return;
	c->steps &= ~(1u << step->kind);
	c->under_way = 0;
	call_undo(c, step);
}

void vas_step_undo(struct vas *vas, const struct step *step)
{
	struct vas_consumer *c;

	for (c = vas->last_consumer; c; c = c->previous)
		vas_step_undo_one(step, c);
}

/* A consumer said no, so it has undone its part. */
static int refused(struct vas_consumer *c, const struct step *step, int err)
{
	c->steps &= ~(1u << step->kind);
	c->under_way = 0;
	vas_consumer_report(c, step->blocker);
	return err;
}

static int start_one(struct vas_consumer *c, const struct step *step)
{
	int err = call_start(c, step);

	if (err < 0)
		return refused(c, step, err);
	c->steps |= 1u << step->kind;
	c->under_way = err == VAS_CONSUMER_UNDER_WAY;
	return 0;
}

/* ---- waiting ------------------------------------------------------------------------------- */

struct poll_set {
	struct pollfd fds[MAX_FDS];
	struct vas_consumer *consumers[MAX_FDS];
	nfds_t nr;
	bool is_all; /* nobody who is under way is missing */
};

static void poll_set_fill(struct poll_set *set, const struct vas *vas)
{
	struct vas_consumer *c;

	set->nr = 0;
	set->is_all = true;
	for (c = vas->consumers; c; c = c->next) {
		if (!c->under_way)
			continue;
		if (set->nr == MAX_FDS) {
			set->is_all = false;
			return;
		}
		set->consumers[set->nr] = c;
		set->fds[set->nr++] = (struct pollfd){ .fd = c->ops->fd(c), .events = POLLIN };
	}
}

/* Until one has something to tell, the deadline, or a signal: then nobody has. */
static void poll_set_wait(struct poll_set *set, uint64_t deadline_ns)
{
	uint64_t now_ns = vas_now_ns(), left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	struct timespec left;

	if (!set->is_all && left_ns > SLICE_NS)
		left_ns = SLICE_NS;
	left.tv_sec = (time_t)(left_ns / 1000000000ull);
	left.tv_nsec = (long)(left_ns % 1000000000ull);
	if (ppoll(set->fds, set->nr, deadline_ns == UINT64_MAX && set->is_all ? NULL : &left,
		  NULL) >= 0)
		return;
	for (nfds_t i = 0; i < set->nr; i++)
		set->fds[i].revents = 0;
}

static bool has_news(const struct poll_set *set, const struct vas_consumer *c)
{
	nfds_t i;

	for (i = 0; i < set->nr; i++)
		if (set->consumers[i] == c)
			return set->fds[i].revents;
	return true;
}

/* How many are under way still, or -errno. */
static int look(struct vas *vas, const struct step *step, const struct poll_set *set)
{
	struct vas_consumer *c;
	int nr = 0;

	for (c = vas->consumers; c; c = c->next) {
		if (c->under_way && has_news(set, c)) {
			int err = c->ops->finish(c);

			if (err < 0)
				return refused(c, step, err);
			c->under_way = err == VAS_CONSUMER_UNDER_WAY;
		}
		nr += c->under_way;
	}
	return nr;
}

static int give_up_on(struct vas_consumer *c, struct vas_blocker *blocker)
{
	const char *name = c->ops->name;

	vas_consumer_report(c, blocker);
	if (c->ops->blocker)
		c->ops->blocker(c, blocker);
	blocker->name[sizeof(blocker->name) - 1] = '\0';
	if (blocker->size)
		return vas_error_set(-EBUSY,
				     "consumer %s is not done in time: %s (process %u) keeps "
				     "[%#llx, +%#llx)",
				     name, blocker->name, blocker->pid,
				     (unsigned long long)blocker->gpa,
				     (unsigned long long)blocker->size);
	if (strcmp(name, blocker->name))
		return vas_error_set(-EBUSY, "consumer %s is not done in time: %s is in its way",
				     name, blocker->name);
	return vas_error_set(-EBUSY, "consumer %s is not done in time", name);
}

/* The first that is under way still. */
static struct vas_consumer *slowest(const struct vas *vas)
{
	struct vas_consumer *c = vas->consumers;

	while (!c->under_way)
		c = c->next;
	return c;
}

/* The look that fails comes after the deadline, and has seen everybody. */
static int wait_for_all(struct vas *vas, const struct step *step)
{
	struct poll_set set;
	bool is_late;
	int nr;

	do {
		is_late = vas_now_ns() >= step->deadline_ns;
		poll_set_fill(&set, vas);
		if (!set.nr)
			return 0;
		if (is_late)
			set.nr = 0; /* no news are needed to look */
		else
			poll_set_wait(&set, step->deadline_ns);
		nr = look(vas, step, &set);
	} while (nr > 0 && !is_late);
	return nr > 0 ? give_up_on(slowest(vas), step->blocker) : nr;
}

/* ---- steps --------------------------------------------------------------------------------- */

int vas_step_start(struct vas *vas, const struct step *step, enum step_part part)
{
	struct vas_consumer *c;
	int err;

	for (c = vas->consumers; c; c = c->next) {
		if (!(c->flags & VAS_CONSUMER_BINDERS) != (part == STEP_OTHERS))
			continue;
		err = start_one(c, step);
		if (err) {
			vas_step_undo(vas, step);
			return err;
		}
	}
	return 0;
}

int vas_step_finish(struct vas *vas, const struct step *step)
{
	int err = wait_for_all(vas, step);

	if (err)
		vas_step_undo(vas, step);
	return err;
}

int vas_step_take(struct vas *vas, const struct step *step)
{
	int err = vas_step_start(vas, step, STEP_BINDERS);

	if (!err)
		err = vas_step_start(vas, step, STEP_OTHERS);
	return err ? err : vas_step_finish(vas, step);
}

int vas_step_take_one(struct vas *vas, const struct step *step, struct vas_consumer *c)
{
	int err = start_one(c, step);

	if (!err)
		err = wait_for_all(vas, step);
	if (err)
		vas_step_undo_one(step, c);
	return err;
}
