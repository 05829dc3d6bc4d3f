/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The dirty log's trackers, and freezing: what a migration, a snapshot or a working-set sampler is
 * made of.
 *
 *	vas_tracker_attach()		from here on every write is recorded
 *	loop:
 *		vas_tracker_begin()	the logs of KVM and of other consumers are merged
 *		vas_tracker_harvest()...	words of dirty pages; copy those pages
 *		vas_tracker_commit()	or vas_tracker_abort(): the pages count as dirty still
 *	vas_tracker_detach()
 *
 * Every page that is written is in a harvest after the write: a page that is written while it is
 * copied is in the next one. Trackers, in several processes, do not disturb each other; one that
 * dies loses nothing for the others. The log is a bitmap, as KVM's and vhost's are.
 *
 * A writable vas_mapping is dirty in each epoch while it lives, unless its holder marks.
 */
#ifndef VAS_DIRTY_H
#define VAS_DIRTY_H

#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_tracker; /* for one thread at a time */

#define VAS_TRACKER_ALL 1u /* all memory ever touched is dirty at the first vas_tracker_begin() */

/*
 * Attach a tracker; the caller owns *tracker and ends it with vas_tracker_detach(). If tracking is
 * off, it is switched on for everyone: new sections mark, old ones are waited for (1 s), consumers
 * log. name is informational, up to 23 bytes.
 *
 * -EINVAL: flags. -EPERM: an observer. -ENOSPC: all of the vas's trackers are in use. -EBUSY: a
 * section does not end. -EOPNOTSUPP: this process may not use membarrier, which others' sections
 * need. Or a consumer's refusal.
 *
 * A tracker of another process than the owner's needs the owner's help here and in
 * vas_tracker_begin(): the owner gives it in vas_notifications(). -ETIMEDOUT: it did not within 1
 * s.
 */
VAS_API int vas_tracker_attach(struct vas *vas, const char *name, uint32_t flags,
			       struct vas_tracker **tracker);

/*
 * Detach. An open epoch is aborted. Tracking is switched off with the last tracker. NULL is
 * allowed.
 */
VAS_API void vas_tracker_detach(struct vas_tracker *tracker);

/*
 * Open an epoch: everything written so far is in this epoch's harvests, or was in an earlier one's.
 *
 * -EBUSY: one is open. -ENOMEM: a page of the log could not be allocated, so marks may be missing.
 * -ETIMEDOUT: the owner gave no help, see vas_tracker_attach(). Or a consumer's error.
 */
VAS_API int vas_tracker_begin(struct vas_tracker *tracker);

/*
 * Take up to nr words of dirty pages in [*gpa, end), rounded out to words of 256 KiB. Returns how
 * many, and moves *gpa to where the next call continues; at `end` all were taken. *words is the
 * tracker's own list, good until its next harvest, commit or abort. Words come in any order, and
 * one may come again. All marked writes to these pages are visible when it returns: copy the pages
 * now.
 *
 * -EINVAL: no epoch is open, or the range. -EBUSY: another tracker has kept the log for 1 s.
 * -ENOMEM.
 */
VAS_API ssize_t vas_tracker_harvest(struct vas_tracker *tracker, uint64_t *gpa, uint64_t end,
				    size_t nr, const struct vas_dirty_word **words);

/*
 * All words harvested in the open epoch; returns how many. *words is good until the next harvest,
 * commit or abort.
 */
VAS_API size_t vas_tracker_harvested(const struct vas_tracker *tracker,
				     const struct vas_dirty_word **words);

/*
 * Close the epoch. Commit: the harvested pages are dealt with. Abort: they will be harvested again.
 * -EINVAL: no epoch is open. Abort may fail as a harvest does, and the epoch stays open then.
 */
VAS_API int vas_tracker_commit(struct vas_tracker *tracker);
VAS_API int vas_tracker_abort(struct vas_tracker *tracker);

/* A tracker in use. Informational. */
struct vas_tracker_info {
	char name[VAS_REGION_NAME_LEN];
	uint64_t epochs; /* committed */
	uint32_t pid;	 /* as its binder reports it */
};

/* Store up to nr trackers and return how many there are. An observer may ask. */
VAS_API ssize_t vas_trackers(struct vas *vas, struct vas_tracker_info *trackers, size_t nr);

/* ---- freezing ----------------------------------------------------------------------------- */

/*
 * Stop every writer, and let them write again. Frozen, new writes get -EAGAIN, sections have ended,
 * holders of writable mappings have answered VAS_REQUEST_QUIESCE, and consumers have stopped. vCPUs
 * are the VMM's to stop before, unless a consumer's freeze does.
 *
 * -EPERM: not the owner. vas_freeze: -EALREADY: it is frozen. -EBUSY: the time is over; *blocker
 * (may be NULL) says who did not stop, and everyone writes on. Or a consumer's refusal. vas_thaw:
 * -EINVAL: it is not frozen.
 */
VAS_API int vas_freeze(struct vas *vas, uint64_t timeout_ns, struct vas_blocker *blocker);

/*
 * Whether vas_freeze() would be refused whatever time it had, for what must not begin then: 0, or
 * -EOPNOTSUPP: a consumer cannot be stopped, which *blocker (may be NULL) and vas_error() name.
 * -EPERM: not the owner.
 */
VAS_API int vas_freeze_check(struct vas *vas, struct vas_blocker *blocker);
VAS_API int vas_thaw(struct vas *vas);

/* Wait until the vas is not frozen, as a writer does after -EAGAIN. -ETIMEDOUT. */
VAS_API int vas_wait_thawed(struct vas *vas, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif
