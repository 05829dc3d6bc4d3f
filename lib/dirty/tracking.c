// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/dirty/tracking.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/futex.h"
#include "lib/handle/lock.h"
#include "lib/handle/log.h"
#include "lib/handle/notify.h"
#include "lib/layout/consumer.h"
#include "lib/layout/publish.h"

#define SERVE_NS 1000000000ull /* as long as the owner may take to answer */

ssize_t vas_trackers(struct vas *vas, struct vas_tracker_info *trackers, size_t nr)
{
	NO_CANCEL;
	struct vas_tracker_about about;
	struct vas_binder_about binder;
	struct vas_scan scan;
	size_t found = 0;
	uint32_t i;

	vas_scan_begin(&scan, &vas->proto, 0);
	for (i = 0; i < vas->sb.nr_trackers; i++) {
		if (!vas_tracker_about(&scan, i, &about))
			continue;
		if (found < nr) {
			vas_tag_about(&vas->proto, about.tag, &binder);
			memcpy(trackers[found].name, about.name, sizeof(about.name));
			trackers[found].epochs = about.epoch;
			trackers[found].pid = binder.pid;
		}
		found++;
	}
	return (ssize_t)found;
}

/* ---- on and off --------------------------------------------------------------------------- */

/* A table too full of nonsense to be looked through in a scan's time counts as such a death. */
void vas_tracking_reap(struct vas *vas)
{
	struct vas_scan scan;

	vas_scan_begin(&scan, &vas->proto, 0);
	if (!vas_slots_reap(&scan) || !vas_pins_reap(&scan))
		vas_log_set_incomplete(vas);
}

static bool is_wanted(struct vas *vas)
{
	struct vas_scan scan;
	uint32_t i;

	vas_scan_begin(&scan, &vas->proto, 0);
	for (i = 0; i < vas->sb.nr_trackers; i++)
		if (vas_tracker_is_alive(&scan, i))
			return true;
	return false;
}

/* Sections and consumers by the same deadline. */
static int tracking_on(struct vas *vas)
{
	struct vas_blocker blocker;
	const struct step track = { .kind = STEP_TRACK,
				    .deadline_ns = vas_deadline_ns(VAS_TIMEOUT_DEFAULT_NS),
				    .blocker = &blocker };
	int err;

	vas_publish_flag(vas, VAS_STATE_TRACKING, true);
	vas_publish(vas, NULL, 0);
	err = vas_publish_wait(vas, NULL, track.deadline_ns, &blocker);
	if (!err)
		err = vas_step_take(vas, &track);
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
	vas_step_undo(vas, &(struct step){ .kind = STEP_TRACK });
	vas_publish_flag(vas, VAS_STATE_TRACKING, false);
	vas_publish(vas, NULL, 0);
	return 0;
}

static int harvest_consumers(struct vas *vas)
{
	struct vas_consumer *c;
	int err = 0;

	for (c = vas->consumers; !err && c; c = c->next)
		err = vas_consumer_harvest(vas, c);
	return err;
}

static int update_and_harvest(struct vas *vas)
{
	int err;

	pthread_mutex_lock(&vas->change);
	vas_tracking_reap(vas);
	err = vas_tracking_update(vas);
	if (!err)
		err = harvest_consumers(vas);
	pthread_mutex_unlock(&vas->change);
	return err;
}

/* By trackers that were killed, and so cannot ask for its end. */
static bool is_left_on(struct vas *vas)
{
	return __atomic_load_n(&vas->is_tracked, __ATOMIC_RELAXED) && !is_wanted(vas);
}

void vas_tracking_serve(struct vas *vas)
{
	uint32_t wanted = __atomic_load_n(&vas->ctl->tracking_request, __ATOMIC_ACQUIRE);

	/* When a share is tracked is its parent's business: nobody else can rely on its log. */
	if (vas->role != VAS_ROLE_OWNER || vas->is_share)
		return;
	if (wanted == vas->ctl->tracking_reply && !is_left_on(vas))
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
