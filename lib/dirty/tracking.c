// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/dirty/tracking.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/handle/lock.h"
#include "lib/handle/notify.h"
#include "lib/layout/publish.h"

#define DRAIN_NS 1000000000ull /* as long as others may keep the log */
#define SERVE_NS 1000000000ull /* as long as the owner may take to answer */
#define NAP_NS	 50000ull

void vas_tracker_log(const struct vas *vas, uint32_t i, struct vas_log *log)
{
	struct vas_log_layout layout;

	vas_log_layout(vas->sb.limit, &layout);
	vas_log_init(log, (char *)vas_extent(vas, VAS_EXT_LOG) + (1 + i) * layout.size,
		     vas->sb.limit);
}

int vas_log_is_broken(struct vas *vas)
{
	uint32_t i, nr = __atomic_load_n(&vas->head.nr_failed, __ATOMIC_ACQUIRE);

	for (i = 0; i < nr && i < VAS_MAX_FAILED; i++)
		if (__atomic_load_n(&vas->failed[i], __ATOMIC_RELAXED) - (uintptr_t)vas->control <
		    vas->control_size)
			__atomic_store_n(&vas->log_broken, 1, __ATOMIC_RELAXED);
	return __atomic_load_n(&vas->log_broken, __ATOMIC_RELAXED);
}

void vas_log_set_incomplete(struct vas *vas)
{
	__atomic_fetch_add(&vas->ctl->log_incomplete, 1, __ATOMIC_SEQ_CST);
}

/* ---- repairing ---------------------------------------------------------------------------- */

/*
 * The words that lie in [from, to) of the file: read, for looking at a hole in a map would fill it.
 */
static int repair_part(struct vas *vas, off_t from, off_t to)
{
	off_t start = (off_t)vas->sb.extents[VAS_EXT_LOG].offset;
	uint64_t words[512];

	while (from < to) {
		size_t len = to - from < (off_t)sizeof(words) ? (size_t)(to - from) : sizeof(words);
		ssize_t i, nr = pread(vas->lock_fd, words, len, from) / (ssize_t)sizeof(words[0]);

		if (nr <= 0)
			return vas_error_set(-EIO, "cannot read the dirty log");
		for (i = 0; i < nr; i++)
			if (words[i])
				vas_log_repair_word(&vas->log, (uint64_t)((from - start) / 8 + i));
		from += nr * (off_t)sizeof(words[0]);
	}
	return 0;
}

int vas_log_repair(struct vas *vas)
{
	off_t data, hole = (off_t)vas->sb.extents[VAS_EXT_LOG].offset, end;
	int err = 0;

	end = hole + (off_t)((vas->log.nr_pages + VAS_LOG_PAGES_PER_WORD - 1) /
			     VAS_LOG_PAGES_PER_WORD * sizeof(uint64_t));
	while (!err && hole < end) {
		data = lseek(vas->lock_fd, hole, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return 0;
		hole = data < 0 ? -1 : lseek(vas->lock_fd, data, SEEK_HOLE);
		if (hole < 0)
			return vas_error_set(-errno, "cannot find the dirty log's pages: %s",
					     strerror(errno));
		err = repair_part(vas, data, hole < end ? hole : end);
	}
	return err;
}

/* ---- draining ----------------------------------------------------------------------------- */

static uint64_t drain_byte(const struct vas *vas)
{
	return vas->sb.extents[VAS_EXT_TRACKERS].offset;
}

int vas_drain_lock(struct vas *vas)
{
	uint64_t deadline_ns = vas_deadline_ns(DRAIN_NS);
	struct timespec nap = { .tv_nsec = NAP_NS };
	int err;

	/* The byte keeps other descriptions out, this mutex our own threads. */
	pthread_mutex_lock(&vas->drain);
	while ((err = vas_lock_byte(vas, drain_byte(vas))) == -EBUSY && vas_now_ns() < deadline_ns)
		nanosleep(&nap, NULL);
	if (err) {
		pthread_mutex_unlock(&vas->drain);
		return vas_error_set(err, "another tracker keeps the dirty log");
	}
	/* Somebody died between H1 and H2: summary bits are gone whose words are still there. */
	if (__atomic_load_n(&vas->ctl->draining, __ATOMIC_ACQUIRE))
		err = vas_log_repair(vas);
	if (err) {
		vas_drain_unlock(vas);
		return err;
	}
	__atomic_store_n(&vas->ctl->draining, 0, __ATOMIC_RELEASE);
	return 0;
}

void vas_drain_unlock(struct vas *vas)
{
	vas_unlock_byte(vas, drain_byte(vas));
	pthread_mutex_unlock(&vas->drain);
}

static bool is_in_use(const struct vas *vas, uint32_t i)
{
	return __atomic_load_n(&vas_tracker_entries(vas)[i].state, __ATOMIC_ACQUIRE) != 0;
}

static void find_others(const struct vas *vas, uint32_t self, struct vas_log_others *others)
{
	uint32_t i;

	others->nr = 0;
	for (i = 0; i < vas->sb.nr_trackers; i++)
		if (i != self && is_in_use(vas, i))
			vas_tracker_log(vas, i, &others->logs[others->nr++]);
}

uint64_t vas_drain(struct vas *vas, uint32_t self, struct vas_log_range *range,
		   struct vas_dirty_word *words, uint64_t nr)
{
	struct vas_log_others others;
	uint64_t taken;

	find_others(vas, self, &others);
	__atomic_store_n(&vas->ctl->draining, vas->binder + 1, __ATOMIC_SEQ_CST);
	taken = vas_log_move(&vas->log, range, &others, words, nr);
	__atomic_store_n(&vas->ctl->draining, 0, __ATOMIC_RELEASE);
	return taken;
}

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
		if (is_in_use(vas, i))
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
