// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/dirty.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>

#include "lib/error.h"
#include "lib/lock.h"
#include "lib/notify.h"
#include "lib/publish.h"

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

void vas_log_lose(struct vas *vas)
{
	__atomic_fetch_add(&vas->ctl->log_lost, 1, __ATOMIC_SEQ_CST);
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
		return vas_fail(err, "another tracker keeps the dirty log");
	}
	/* Whoever died with words in its hands has taken other trackers' words along. */
	if (vas->ctl->draining)
		vas_log_lose(vas);
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
	return __atomic_load_n(&vas_trackers(vas)[i].state, __ATOMIC_ACQUIRE) != 0;
}

static void deliver(const struct vas *vas, uint32_t tracker, const struct vas_dirty_word *words,
		    uint64_t nr)
{
	struct vas_log log;
	uint64_t i;

	vas_tracker_log(vas, tracker, &log);
	for (i = 0; i < nr; i++)
		vas_log_mark_word(&log, words[i].gpa / VAS_PAGE_SIZE / VAS_LOG_PAGES_PER_WORD,
				  words[i].bits);
}

uint64_t vas_drain(struct vas *vas, uint32_t self, struct vas_log_range *range,
		   struct vas_dirty_word *words, uint64_t nr)
{
	uint64_t taken;
	uint32_t i;

	__atomic_store_n(&vas->ctl->draining, vas->binder + 1, __ATOMIC_SEQ_CST);
	taken = vas_log_take(&vas->log, range, words, nr);
	for (i = 0; taken && i < vas->sb.nr_trackers; i++)
		if (i != self && is_in_use(vas, i))
			deliver(vas, i, words, taken);
	__atomic_store_n(&vas->ctl->draining, 0, __ATOMIC_RELEASE);
	return taken;
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

	vas->own.flags |= VAS_STATE_TRACKING;
	vas_publish(vas, NULL, 0);
	err = vas_publish_wait(vas, NULL, vas_deadline_ns(VAS_TIMEOUT_DEFAULT_NS), NULL);
	if (!err)
		err = track_consumers(vas, 1);
	if (err) {
		vas->own.flags &= ~VAS_STATE_TRACKING;
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
	vas->own.flags &= ~VAS_STATE_TRACKING;
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
	uint32_t wanted = __atomic_load_n(&vas->ctl->wanted, __ATOMIC_ACQUIRE);

	if (vas->role != VAS_ROLE_OWNER || wanted == vas->ctl->served)
		return;
	/* A refusal is no answer: who asked gets its timeout, and may ask again. */
	if (update_and_harvest(vas))
		return;
	__atomic_store_n(&vas->ctl->served, wanted, __ATOMIC_RELEASE);
	vas_notify_answer(vas);
}

static bool is_served(const struct vas *vas, uint32_t ticket)
{
	return (int32_t)(__atomic_load_n(&vas->ctl->served, __ATOMIC_ACQUIRE) - ticket) >= 0;
}

int vas_tracking_ask(struct vas *vas)
{
	uint64_t deadline_ns = vas_deadline_ns(SERVE_NS);
	uint32_t ticket, seen;

	if (vas->role == VAS_ROLE_OWNER)
		return update_and_harvest(vas);
	ticket = __atomic_add_fetch(&vas->ctl->wanted, 1, __ATOMIC_ACQ_REL);
	vas_notify_everyone(vas);
	for (;;) {
		seen = __atomic_load_n(&vas->ctl->answer, __ATOMIC_ACQUIRE);
		if (is_served(vas, ticket))
			return 0;
		if (vas_now_ns() >= deadline_ns)
			return vas_fail(-ETIMEDOUT, "the owner does not answer trackers: it should "
						    "poll vas_notify_fd()");
		vas_futex_wait(&vas->ctl->answer, seen, deadline_ns);
	}
}
