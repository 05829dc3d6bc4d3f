/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The dirty log's consumers, and freezing: what a migration, a snapshot or a working-set sampler is
 * made of.
 *
 *	vas_tracker_attach()		every write from here on is told of
 *	loop:
 *		vas_tracker_begin()	the logs of KVM and of other consumers are merged
 *		vas_tracker_harvest()...	words of dirty pages, up to the end; copy those pages
 *		vas_tracker_commit()	or vas_tracker_abort(): the pages count as dirty still
 *	vas_tracker_detach()
 *
 * Any number of pages written at any time is in some harvest: a page that is written while it is
 * copied is in the next. Several trackers, in several processes, do not disturb each other; one that
 * dies loses nothing for the others.
 *
 * A writable vas_mapping_create() is dirty in each epoch as long as it lives, unless its holder marks.
 */
#ifndef VAS_DIRTY_H
#define VAS_DIRTY_H

#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_tracker; /* a tracker: one consumer of the dirty log; for one thread at a time */

/* All that was ever touched counts as written at the first vas_tracker_begin(). */
#define VAS_TRACKER_ALL 1u

/*
 * Track. Tracking is switched on for everybody if it is not yet: new sections mark, old ones are
 * waited for (1 s), consumers log. name is for people, up to 23 bytes. -EPERM: an observer; -ENOSPC:
 * all of this vas's trackers are in use; -EBUSY: a section does not end; -EOPNOTSUPP: membarrier is
 * forbidden to this process, and others' sections need it; or a consumer's refusal.
 *
 * A tracker of another process than the owner's needs its help here and in vas_tracker_begin(): the
 * owner gives it in vas_notifications(), so it has to poll vas_notify_fd(). -ETIMEDOUT: it did not in
 * 1 s.
 */
VAS_API int vas_tracker_attach(struct vas *vas, const char *name, uint32_t flags,
			       struct vas_tracker **dirty);

/* The epoch that is open is aborted. Tracking ends with the last tracker. NULL is allowed. */
VAS_API void vas_tracker_detach(struct vas_tracker *dirty);

/*
 * Open an epoch: everything written up to now will be in this epoch's harvests, or was in an earlier
 * one's. -EBUSY: one is open; -ENOMEM: a page of the log could not be had, so marks may be missing;
 * -ETIMEDOUT; or a consumer's error.
 */
VAS_API int vas_tracker_begin(struct vas_tracker *dirty);

/*
 * Take up to nr words of dirty pages in [*gpa, end), which is rounded out to words, 256 KiB: their
 * number is returned, and *gpa moves on to where the next call takes up; at `end` all were taken. *words
 * is the tracker's own list, good until its next harvest, commit or abort. They come in any order, and
 * one may come again. When it returns, all writes to these pages that were
 * marked are visible: copy the pages now. -EINVAL: no epoch is open; -EBUSY: another tracker has kept
 * the log for 1 s; -ENOMEM.
 */
VAS_API ssize_t vas_tracker_harvest(struct vas_tracker *dirty, uint64_t *gpa, uint64_t end,
				    size_t nr, const struct vas_dirty_word **words);

/* All words that were harvested in the open epoch: their number. As good for as long. */
VAS_API size_t vas_tracker_harvested(const struct vas_tracker *dirty,
				     const struct vas_dirty_word **words);

/* The pages harvested in this epoch are dealt with; the reverse: they will be harvested again. */
VAS_API int vas_tracker_commit(struct vas_tracker *dirty);
VAS_API int vas_tracker_abort(struct vas_tracker *dirty);

/* A tracker in use, for people: what it calls itself, and how many epochs it has committed. */
struct vas_tracker_info {
	char name[VAS_REGION_NAME_LEN];
	uint64_t epochs;
	uint32_t pid; /* as its binder says */
};

/* Up to nr are stored, and the number that there are is returned. An observer may ask. */
VAS_API ssize_t vas_trackers(struct vas *vas, struct vas_tracker_info *trackers, size_t nr);

/*
 * Stop every writer, for the owner only (-EPERM): new writes get -EAGAIN, sections end, holders of
 * writable maps are asked to be quiet (VAS_REQUEST_QUIESCE), consumers freeze. -EBUSY: the deadline
 * passed, *blocker (may be NULL) says who did not stop, and everyone writes on: all or nothing. A
 * consumer's refusal is returned as it is. -EALREADY: it is frozen. vCPUs are the VMM's to stop,
 * before, unless the consumer's freeze does.
 */
VAS_API int vas_freeze(struct vas *vas, uint64_t timeout_ns, struct vas_blocker *blocker);
/* -EINVAL: it was not frozen. */
VAS_API int vas_thaw(struct vas *vas);

/* Wait until the vas is not frozen: 0, or -ETIMEDOUT. What a writer does with an -EAGAIN. */
VAS_API int vas_wait_thawed(struct vas *vas, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif
