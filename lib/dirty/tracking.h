/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The dirty log between its users: who drains it, who switches it on. docs/design/dirty.md. */
#ifndef VAS_LIB_DIRTY_H
#define VAS_LIB_DIRTY_H

#include <vas/dirty.h>

#include "lib/handle/handle.h"

static inline struct vas_tracker_entry *vas_tracker_entries(const struct vas *vas)
{
	return vas_extent(vas, VAS_EXT_TRACKERS);
}

/* Tracker i's own log: what others have drained for it. Under the drain lock. */
void vas_tracker_log(const struct vas *vas, uint32_t i, struct vas_log *log);

/*
 * What an earlier tracker with this index has left in its log goes; its memory goes back as well.
 */
void vas_tracker_clear(struct vas *vas, uint32_t i);

/*
 * A page of the control area failed in this process, and was replaced: what is marked there, nobody
 * else sees, from then on.
 */
int vas_log_is_broken(struct vas *vas);

/*
 * Marks may be missing, nobody knows which, or be half done: every tracker repairs the log and
 * takes everything as dirty.
 */
void vas_log_set_incomplete(struct vas *vas);

/* H0: the levels above all bits that are set. Under the drain lock. */
int vas_log_repair(struct vas *vas);

/*
 * The drain lock, against all processes: -EBUSY after 1 s. What a taker that died half way has left
 * is repaired here.
 */
int vas_drain_lock(struct vas *vas);
void vas_drain_unlock(struct vas *vas);

/*
 * Take up to nr words from the shared log, for tracker `self`; the other trackers find them in
 * their own logs. Under the drain lock.
 */
uint64_t vas_drain(struct vas *vas, uint32_t self, struct vas_log_range *range,
		   struct vas_dirty_word *words, uint64_t nr);

/* The owner: tracking on if any living tracker is in use, else off. vas->change is held. */
int vas_tracking_update(struct vas *vas);

/* The owner: move what consumers have logged into the log. vas->change is held. */
int vas_consumers_harvest(struct vas *vas);

/* The owner: what trackers of other processes have asked for, if they have. */
void vas_tracking_serve(struct vas *vas);

/* Have tracking_update and consumers_harvest done: by oneself, or by the owner. */
int vas_tracking_ask(struct vas *vas);

#endif
