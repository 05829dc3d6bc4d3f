// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Trackers: the epochs of one consumer of the dirty log. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/access/lazy.h"
#include "lib/handle/barrier.h"
#include "lib/base/cancel.h"
#include "lib/dirty/tracking.h"
#include "lib/base/error.h"
#include "lib/handle/lock.h"
#include "lib/handle/notify.h"
#include "lib/handle/generation.h"
#include "lib/access/view.h"
#include "lib/base/error.h"
#include "lib/dirty/tracking.h"
#include "lib/handle/barrier.h"
#include "lib/handle/generation.h"
#include "lib/handle/lock.h"
#include "lib/handle/log.h"
#include "lib/handle/notify.h"
#include "lib/handle/pins.h"

#define BATCH 256 /* words that are taken at once when nobody wants them */

struct vas_tracker {
	struct vas *vas;
	uint32_t index;
	uint32_t fork_count;
	struct vas_log log; /* its own, in the file: what others have drained for it */
	bool open;
	bool all; /* the next epoch has everything that was ever touched */
	uint32_t incomplete_seen;
	/* vas_control.log_incomplete, when this tracker last repaired the log. */
	uint32_t incomplete_repaired;
	uint64_t regions_seen; /* generation of the regions at the last begin */
	/* What this epoch has harvested, until it is committed. */
	struct vas_dirty_word *pending;
	size_t nr_pending;
	size_t room;
};

/* ---- attach, detach ----------------------------------------------------------------------- */

static int claim_entry(struct vas_tracker *d)
{
	struct vas *vas = d->vas;
	struct vas_scan scan;

	vas_scan_begin(&scan, &vas->proto, 0);
	d->index = vas_tracker_claim(&scan, vas->proto.tag);
	if (d->index == VAS_NO_ENTRY)
		return vas_error_set(-ENOSPC, "all %u trackers of this vas are in use",
				     vas->sb.nr_trackers);
	vas_tracker_log(vas, d->index, &d->log);
	return 0;
}

/* H0: the drain lock, and what writers that died half way through a mark have left. */
static int lock_and_repair(struct vas_tracker *d)
{
	uint32_t incomplete;
	int err = vas_drain_lock(d->vas);

	if (err)
		return err;
	incomplete = __atomic_load_n(&d->vas->ctl->log_incomplete, __ATOMIC_ACQUIRE);
	if (incomplete == d->incomplete_repaired)
		return 0;
	err = vas_log_repair(d->vas);
	if (err)
		vas_drain_unlock(d->vas);
	else
		d->incomplete_repaired = incomplete;
	return err;
}

/*
 * What was written until now is for the trackers that are there already. The barrier is H3: the
 * tracker may copy memory now, and a write whose mark has just been taken must be seen.
 */
static int activate(struct vas_tracker *d, const char *name)
{
	struct vas *vas = d->vas;
	struct vas_log_range range = vas_log_range_of(&vas->log, 0, vas->sb.limit);
	struct vas_dirty_word words[BATCH];
	int err;

	/* Not known what died before: not equal, whatever it counts to. */
	d->incomplete_repaired = __atomic_load_n(&vas->ctl->log_incomplete, __ATOMIC_ACQUIRE) - 1;
	err = lock_and_repair(d);
	if (err)
		return err;
	while (vas_drain(vas, d->index, &range, words, BATCH))
		;
	vas_tracker_clear(vas, d->index);
	d->incomplete_seen = __atomic_load_n(&vas->ctl->log_incomplete, __ATOMIC_ACQUIRE);
	vas_tracker_start(&vas->proto, d->index, name);
	vas_drain_unlock(vas);
	vas_barrier_everyone();
	return 0;
}

static void release_entry(struct vas_tracker *d)
{
	struct vas_proto *proto = &d->vas->proto;

	vas_tracker_stop(proto, d->index);
	vas_tracker_clear(d->vas, d->index);
	vas_tracker_release(proto, d->index, proto->tag);
}

/* Tracking may end: the owner sees to it when it looks, nobody waits for that. */
static void let_go(struct vas *vas)
{
	if (vas->role == VAS_ROLE_OWNER) {
		pthread_mutex_lock(&vas->change);
		vas_tracking_update(vas);
		pthread_mutex_unlock(&vas->change);
		return;
	}
	__atomic_fetch_add(&vas->ctl->tracking_request, 1, __ATOMIC_ACQ_REL);
	vas_notify_everyone(vas);
}

static int attach(struct vas_tracker *d, const char *name)
{
	int err = claim_entry(d);

	if (err)
		return err;
	err = activate(d, name);
	if (!err)
		err = vas_tracking_ask(d->vas);
	if (err) {
		release_entry(d);
		let_go(d->vas);
	}
	return err;
}

static uint64_t regions_generation(struct vas *vas)
{
	struct vas_state state;

	return vas_state_read(vas, &state) ? 0 : state.regions_generation;
}

int vas_tracker_attach(struct vas *vas, const char *name, uint32_t flags, struct vas_tracker **out)
{
	NO_CANCEL;
	struct vas_tracker *d;
	int err;

	if (vas->role == VAS_ROLE_OBSERVER)
		return vas_error_set(-EPERM, "an observer cannot track: it leaves no trace");
	if (flags & ~VAS_TRACKER_ALL)
		return vas_error_set(-EINVAL, "unknown flags %#x", flags);
	if (vas->is_share)
		return vas_error_set(-EPERM, "a share follows its parent: track that");
	err = vas_barrier_reaches(vas);
	if (err)
		return err;
	d = calloc(1, sizeof(*d));
	if (!d)
		return vas_error_set(-ENOMEM, "no memory for a tracker");
	d->vas = vas;
	d->fork_count = vas->fork_count;
	d->all = flags & VAS_TRACKER_ALL;
	err = attach(d, name);
	if (err) {
		free(d);
		return err;
	}
	d->regions_seen = regions_generation(vas);
	*out = d;
	return 0;
}

void vas_tracker_detach(struct vas_tracker *d)
{
	NO_CANCEL;
	if (!d)
		return;
	/* A child's copy has no entry. */
	if (d->fork_count == d->vas->fork_count) {
		release_entry(d);
		let_go(d->vas);
	}
	free(d->pending);
	free(d);
}

/* ---- an epoch ----------------------------------------------------------------------------- */

static int mark_all(struct vas_tracker *d)
{
	struct region_set *set;
	uint32_t i;
	int err;

	pthread_mutex_lock(&d->vas->lock);
	err = vas_view_refresh(d->vas);
	set = err ? NULL : d->vas->view->set;
	if (set)
		set->refs++;
	pthread_mutex_unlock(&d->vas->lock);
	if (err)
		return err;
	err = vas_drain_lock(d->vas);
	/* Missing pages first: a page that is filled meanwhile is found among what was touched. */
	if (!err)
		vas_lazy_mark(d->vas, set->regions, set->nr, &d->log);
	for (i = 0; !err && i < set->nr; i++)
		vas_log_mark_touched(d->vas, &d->log, &set->regions[i]);
	if (!err)
		vas_drain_unlock(d->vas);
	pthread_mutex_lock(&d->vas->lock);
	vas_region_set_put(set);
	pthread_mutex_unlock(&d->vas->lock);
	return err;
}

/*
 * In the tracker's own log, which the others have no use for: were it the shared one, a tracker
 * that died on the way would leave bits there without their levels, and nothing that tells of it.
 */
static int mark_pins(struct vas_tracker *d)
{
	struct vas_scan scan;
	int err;

	vas_scan_begin(&scan, &d->vas->proto, 0);
	if (!vas_pins_are_dirty(&scan))
		return 0;
	err = vas_drain_lock(d->vas);
	if (err)
		return err;
	vas_scan_begin(&scan, &d->vas->proto, 0);
	if (!vas_pins_mark(&scan, &d->log))
		d->all = true;
	vas_drain_unlock(d->vas);
	return 0;
}

/* Marks were incomplete, or regions came whose bytes nobody has marked: then all is dirty. */
static int catch_up(struct vas_tracker *d)
{
	uint32_t incomplete = __atomic_load_n(&d->vas->ctl->log_incomplete, __ATOMIC_ACQUIRE);
	uint64_t regions = regions_generation(d->vas);
	int err;

	if (!d->all && incomplete == d->incomplete_seen && regions == d->regions_seen)
		return 0;
	err = mark_all(d);
	if (err)
		return err;
	d->all = false;
	d->incomplete_seen = incomplete;
	d->regions_seen = regions;
	return 0;
}

int vas_tracker_begin(struct vas_tracker *d)
{
	NO_CANCEL;
	int err;

	if (d->open || d->fork_count != d->vas->fork_count)
		return vas_error_set(-EBUSY, "an epoch is open: commit or abort it first");
	err = vas_barrier_reaches(d->vas);
	if (!err)
		err = vas_tracking_ask(d->vas);
	if (!err)
		err = mark_pins(d);
	if (err)
		return err;
	if (vas_log_is_broken(d->vas))
		return vas_error_set(-ENOMEM, "a page of the dirty log could not be had");
	err = catch_up(d);
	d->open = !err;
	return err;
}

static int make_room(struct vas_tracker *d, size_t nr)
{
	struct vas_dirty_word *pending;
	size_t room = d->room * 2;

	if (d->nr_pending + nr <= d->room)
		return 0;
	if (room < d->nr_pending + nr)
		room = d->nr_pending + nr;
	pending = realloc(d->pending, room * sizeof(*pending));
	if (!pending)
		return vas_error_set(-ENOMEM, "no memory for an epoch of %zu words", room);
	d->pending = pending;
	d->room = room;
	return 0;
}

/*
 * Its own log first: what is there is older than what is in the shared one. Both up to the same
 * place, where *gpa is then.
 */
static uint64_t take(struct vas_tracker *d, uint64_t *gpa, uint64_t end,
		     struct vas_dirty_word *words, uint64_t nr)
{
	struct vas_log_range own = vas_log_range_of(&d->log, *gpa, end - *gpa), shared = own;
	uint64_t taken = vas_log_take(&d->log, &own, words, nr);

	shared.end = own.next;
	taken += vas_drain(d->vas, d->index, &shared, words + taken, nr - taken);
	*gpa = shared.next * VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE;
	if (*gpa > end || (shared.next == shared.end && own.next == own.end))
		*gpa = end;
	return taken;
}

ssize_t vas_tracker_harvest(struct vas_tracker *d, uint64_t *gpa, uint64_t end, size_t nr,
			    const struct vas_dirty_word **words)
{
	NO_CANCEL;
	uint64_t taken;
	int err;

	if (!d->open)
		return vas_error_set(-EINVAL, "vas_tracker_begin() comes first");
	if (*gpa > end)
		return vas_error_set(-EINVAL, "gpa %#llx is beyond the end %#llx",
				     (unsigned long long)*gpa, (unsigned long long)end);
	if (nr > PTRDIFF_MAX / sizeof(**words))
		return vas_error_set(-EINVAL, "%zu words are more than memory can hold", nr);
	err = make_room(d, nr);
	if (!err)
		err = lock_and_repair(d);
	if (err)
		return err;
	*words = d->pending + d->nr_pending;
	taken = take(d, gpa, end, d->pending + d->nr_pending, nr);
	d->nr_pending += taken;
	vas_drain_unlock(d->vas);
	if (!taken)
		return 0;
	/* H3. Partner: none in the writer, whose W2 may have passed its W1. */
	vas_barrier_everyone();
	return (ssize_t)taken;
}

size_t vas_tracker_harvested(const struct vas_tracker *d, const struct vas_dirty_word **words)
{
	*words = d->pending;
	return d->nr_pending;
}

int vas_tracker_commit(struct vas_tracker *d)
{
	if (!d->open)
		return vas_error_set(-EINVAL, "no epoch is open");
	d->open = false;
	d->nr_pending = 0;
	vas_tracker_count_epoch(&d->vas->proto, d->index);
	return 0;
}

int vas_tracker_abort(struct vas_tracker *d)
{
	NO_CANCEL;
	size_t i;
	int err;

	if (!d->open)
		return vas_error_set(-EINVAL, "no epoch is open");
	err = vas_drain_lock(d->vas);
	if (err)
		return err;
	/* All levels: who has delivered here and died may have left a bit without them. */
	for (i = 0; i < d->nr_pending; i++)
		vas_log_mark_word_again(&d->log,
					d->pending[i].gpa / VAS_PAGE_SIZE / VAS_LOG_PAGES_PER_WORD,
					d->pending[i].bits);
	vas_drain_unlock(d->vas);
	d->open = false;
	d->nr_pending = 0;
	return 0;
}
