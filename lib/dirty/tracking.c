// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/dirty/tracking.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/futex.h"
#include "lib/handle/lock.h"
#include "lib/handle/log.h"
#include "lib/handle/notify.h"
#include "lib/layout/publish.h"

#define SERVE_NS 1000000000ull /* as long as the owner may take to answer */

/* Read from the file: an observer's map of a hole would fill it. */
static bool read_tracker(const struct vas *vas, uint32_t i, struct vas_tracker_entry *tracker)
{
	off_t at = (off_t)(vas->sb.extents[VAS_EXT_TRACKERS].offset + i * sizeof(*tracker));

	return pread(vas->lock_fd, tracker, sizeof(*tracker), at) == sizeof(*tracker) &&
	       tracker->state && tracker->binder && tracker->binder <= vas->sb.nr_binders;
}

ssize_t vas_trackers(struct vas *vas, struct vas_tracker_info *trackers, size_t nr)
{
	struct vas_tracker_entry tracker;
	size_t found = 0;
	uint32_t i;

	for (i = 0; i < vas->sb.nr_trackers; i++) {
		if (!read_tracker(vas, i, &tracker) ||
		    (tracker.binder - 1 != vas->binder &&
		     !vas_byte_is_locked(vas, vas_binder_byte(vas, tracker.binder - 1))))
			continue;
		if (found < nr) {
			memcpy(trackers[found].name, tracker.name, sizeof(tracker.name));
			trackers[found].name[sizeof(tracker.name) - 1] = '\0';
			trackers[found].epochs = tracker.epoch;
			trackers[found].pid = vas_binders(vas)[tracker.binder - 1].pid;
		}
		found++;
	}
	return (ssize_t)found;
}

/* ---- on and off --------------------------------------------------------------------------- */

static bool is_wanted(struct vas *vas)
{
	uint32_t i;

	vas_reclaim_dead(vas);
	for (i = 0; i < vas->sb.nr_trackers; i++)
		if (vas_tracker_is_in_use(vas, i))
			return true;
	return false;
}

static int track_consumers(struct vas *vas, int on)
{
	struct vas_consumer *c, *undo;
	int err;

	for (c = vas->consumers; c; c = c->next) {
		err = c->ops->track ? c->ops->track(c, on) : 0;
		if (err && on)
			goto err_off;
	}
	return 0;

err_off:
	for (undo = vas->consumers; undo != c; undo = undo->next)
		if (undo->ops->track)
			undo->ops->track(undo, 0);
	return err;
}

static int tracking_on(struct vas *vas)
{
	int err;

	vas_publish_flag(vas, VAS_STATE_TRACKING, true);
	vas_publish(vas, NULL, 0);
	err = vas_publish_wait(vas, NULL, vas_deadline_ns(VAS_TIMEOUT_DEFAULT_NS), NULL);
	if (!err)
		err = track_consumers(vas, 1);
	if (err) {
		vas_publish_flag(vas, VAS_STATE_TRACKING, false);
		vas_publish(vas, NULL, 0);
	}
	return err;
}

int vas_tracking_update(struct vas *vas)
{
	bool wanted = is_wanted(vas), on = vas->own.flags & VAS_STATE_TRACKING;

	if (wanted == on)
		return 0;
	if (wanted)
		return tracking_on(vas);
	track_consumers(vas, 0);
	vas_publish_flag(vas, VAS_STATE_TRACKING, false);
	vas_publish(vas, NULL, 0);
	return 0;
}

int vas_consumers_harvest(struct vas *vas)
{
	struct vas_consumer *c;
	int err = 0;

	for (c = vas->consumers; !err && c; c = c->next)
		if (c->ops->harvest)
			err = c->ops->harvest(c);
	return err;
}

static int update_and_harvest(struct vas *vas)
{
	int err;

	pthread_mutex_lock(&vas->change);
	err = vas_tracking_update(vas);
	if (!err)
		err = vas_consumers_harvest(vas);
	pthread_mutex_unlock(&vas->change);
	return err;
}

void vas_tracking_serve(struct vas *vas)
{
	uint32_t wanted = __atomic_load_n(&vas->ctl->tracking_request, __ATOMIC_ACQUIRE);

	if (vas->role != VAS_ROLE_OWNER || wanted == vas->ctl->tracking_reply)
		return;
	/* A refusal is no answer: who asked gets its timeout, and may ask again. */
	if (update_and_harvest(vas))
		return;
	__atomic_store_n(&vas->ctl->tracking_reply, wanted, __ATOMIC_RELEASE);
	vas_notify_answer(vas);
}

static bool is_served(const struct vas *vas, uint32_t ticket)
{
	return (int32_t)(__atomic_load_n(&vas->ctl->tracking_reply, __ATOMIC_ACQUIRE) - ticket) >=
	       0;
}

int vas_tracking_ask(struct vas *vas)
{
	uint64_t deadline_ns = vas_deadline_ns(SERVE_NS);
	uint32_t ticket, seen;

	if (vas->role == VAS_ROLE_OWNER)
		return update_and_harvest(vas);
	ticket = __atomic_add_fetch(&vas->ctl->tracking_request, 1, __ATOMIC_ACQ_REL);
	vas_notify_everyone(vas);
	for (;;) {
		seen = __atomic_load_n(&vas->ctl->answer, __ATOMIC_ACQUIRE);
		if (is_served(vas, ticket))
			return 0;
		if (vas_now_ns() >= deadline_ns)
			return vas_error_set(-ETIMEDOUT,
					     "the owner does not answer trackers: it should "
					     "poll vas_notify_fd()");
		vas_futex_wait(&vas->ctl->answer, seen, deadline_ns);
	}
}
