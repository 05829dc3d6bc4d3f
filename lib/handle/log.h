/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The shared dirty log and the trackers' own, as every part of libvas reaches them. */
#ifndef VAS_LIB_LOG_H
#define VAS_LIB_LOG_H

#include <stdbool.h>

#include "lib/handle/handle.h"

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

/*
 * Mark what of the region was ever touched, on all levels; holes hold zeros and always did. Of a
 * region that is a device's, nothing.
 */
void vas_log_mark_touched(struct vas *vas, const struct vas_log *log,
			  const struct vas_region *region);

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

#endif
