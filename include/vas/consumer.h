/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The interface by which a consumer (KVM, vhost, VFIO, kernel modules, a child vas, yours) is kept
 * in step with a vas. libvas knows no consumer; a consumer implements these ops and attaches.
 *
 *	owner            libvas                      each consumer            binders
 *	commit() ------> prepare(delta) -----------> may fail, changes nothing
 *	                 wait for all, to the deadline
 *	                 publish the new generation -------------------------> leave the old one
 *	                 wait for sections and pins
 *	                 freeze(LAYOUT) -----------> touches nothing that changes
 *	                 wait for all, to the deadline
 *	                 commit(delta) ------------> removes, then adds
 *	                 thaw(LAYOUT) -------------> goes on
 *	                 give memory back
 *
 * If a step fails, or is not done at the deadline, all is undone: thaw() and abort() in the reverse
 * order of the starts, and the old layout is published again.
 *
 * Steps. prepare, freeze and track are steps, which may depend on somebody who does not answer. So
 * their ops only start them, and never block. The library starts a step of all consumers, then
 * waits for all of them at once, up to one deadline: five that are slow cost no more than the
 * slowest.
 *
 *	op returns			then
 *	0				the step is done
 *	VAS_CONSUMER_UNDER_WAY		finish() is called when fd() polls readable, and at the
 *					deadline, until it returns 0 or -errno
 *	-errno				refused, all is as it was; vas_error_set() says why
 *
 * When the whole is given up, the op that undoes a step (abort, thaw, untrack) is called for each
 * step that was done or under way. It ends the step at once, and waits for nobody. A consumer has
 * one step under way at a time. It does long work of its own in pieces: one in the op and in each
 * finish(), with fd() readable as long as there is more.
 *
 * The struct vas_blocker of a call that failed at the deadline says who was in the way: its kind is
 * VAS_BLOCKER_CONSUMER, its name that of the consumer, or what blocker() puts there.
 *
 * A consumer that owns a child vas carries these steps on to the child's consumers: the deadline is
 * theirs, too, and its fd() may be an epoll fd with theirs in it; harvest() merges the child's log.
 *
 * All ops are called with the vas's change lock held, one at a time, in the thread that asked for
 * the change; they must not change the layout, freeze, or attach consumers. None is called in the
 * child of a fork. Deadlines are points in time on CLOCK_MONOTONIC, in nanoseconds; UINT64_MAX:
 * none.
 */
#ifndef VAS_CONSUMER_H
#define VAS_CONSUMER_H

#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a change takes away and what it brings, all sorted by gpa. A region that moves, grows,
 * shrinks or changes its flags is in both lists with the same id. `gone` has the ranges of what is
 * removed that no longer hold the bytes that they held: not what stays of a region that only grows
 * or shrinks. A delta is good until the commit or abort that ends its change returns.
 */
struct vas_delta {
	const struct vas_region *removed;
	size_t nr_removed;
	const struct vas_region *added;
	size_t nr_added;
	const struct vas_region *gone;
	size_t nr_gone;
};

/*
 * Why a consumer is frozen; one may be so for both reasons at once, in any order, and each freeze
 * is thawed once. WRITERS, by vas_freeze(): it writes no guest memory, and may read. LAYOUT, for
 * the commit of what it has prepared: it does not touch what the delta replaces, if being replaced
 * in more than one step would show.
 */
enum vas_freeze_reason { VAS_FREEZE_WRITERS, VAS_FREEZE_LAYOUT };

struct vas_consumer;

/* An op's result: the step was started and is not done yet. */
#define VAS_CONSUMER_UNDER_WAY 1

struct vas_consumer_ops {
	const char *name;

	/*
	 * A step: get ready for the change. What can fail, fails here. Whoever is behind the
	 * consumer lets go of what the delta removes, here or in freeze(LAYOUT).
	 */
	int (*prepare)(struct vas_consumer *consumer, const struct vas_delta *delta,
		       uint64_t deadline_ns);
	/*
	 * The change holds: follow it. Removing cannot fail. Adding can: -errno, and the consumer
	 * is out of step, lacking some of what was added, until a retry or a later commit returns
	 * 0.
	 */
	int (*commit)(struct vas_consumer *consumer, const struct vas_delta *delta);
	/* The prepared change does not happen. */
	void (*abort)(struct vas_consumer *consumer, const struct vas_delta *delta);
	/*
	 * Out of step: try to add what is missing. 0 or -errno. Called before the next change is
	 * prepared, and by vas_consumer_retry(). NULL if commit never fails.
	 */
	int (*retry)(struct vas_consumer *consumer);

	/* A step: stop, as the reason says. NULL: it is stopped by other means (a paused vCPU). */
	int (*freeze)(struct vas_consumer *consumer, enum vas_freeze_reason reason,
		      uint64_t deadline_ns);
	void (*thaw)(struct vas_consumer *consumer, enum vas_freeze_reason reason);

	/* A step: log what is written from now on. NULL: it writes nothing, or as its flags say. */
	int (*track)(struct vas_consumer *consumer, uint64_t deadline_ns);
	void (*untrack)(struct vas_consumer *consumer);
	/*
	 * Move what the consumer has logged since the last call into the vas's dirty log, with
	 * vas_mark_dirty(). Pages may be reported too often, never too rarely.
	 */
	int (*harvest)(struct vas_consumer *consumer);

	/*
	 * Of the step that is under way. NULL, all three, if none ever is. fd stays the consumer's.
	 */
	int (*fd)(struct vas_consumer *consumer);
	int (*finish)(struct vas_consumer *consumer);
	/*
	 * Who is in the way of it: overwrite what is known of the name, pid, tid, gpa and size,
	 * which are those of the consumer and 0. May be NULL.
	 */
	void (*blocker)(struct vas_consumer *consumer, struct vas_blocker *blocker);
};

/*
 * What a consumer declares of itself.
 * PINS: it holds every page of its regions in place, as DMA does. The library allocates memory
 * before it hands it out, and memory cannot come lazily, nor be given back by vas_discard(), while
 * it is attached.
 * UNLOGGED: it writes without logging, so there is no tracking while it is attached: no live
 * migration.
 * ALWAYS_DIRTY: it writes without logging, and all that was ever touched in its regions counts as
 * written in each epoch: a migration ends only because it is frozen.
 * DEVICE_REGIONS: it is told of regions with VAS_REGION_DEVICE as well, which all others never see.
 * BINDERS: behind it are holders of sections and maps. Its steps start before those of others, so
 * that these holders are asked at once, while the other consumers still run.
 * UNSTOPPABLE: it writes, and cannot be frozen for WRITERS: vas_freeze() is refused while it is
 * attached, and what needs that, before it begins. May be set and cleared while it is attached, in
 * an op or between vas_layout_begin() and its end.
 */
#define VAS_CONSUMER_PINS	    1u
#define VAS_CONSUMER_UNLOGGED	    2u
#define VAS_CONSUMER_ALWAYS_DIRTY   4u
#define VAS_CONSUMER_DEVICE_REGIONS 8u
#define VAS_CONSUMER_BINDERS	    16u
#define VAS_CONSUMER_UNSTOPPABLE    32u

/*
 * Embedded in the consumer's own struct. ops and flags are the consumer's, the rest the library's.
 */
struct vas_consumer {
	const struct vas_consumer_ops *ops;
	uint32_t flags; /* VAS_CONSUMER_* */
	uint32_t steps; /* what was taken and not undone or used up */
	struct vas *vas;
	struct vas_consumer *next; /* in the order in which steps start */
	struct vas_consumer *previous;
	int under_way;
	int out_of_step;
};

/*
 * Attach to an owner's handle: the consumer is frozen and tracks, if the vas is and does; then the
 * present layout is prepared and committed, as one delta that only adds. -EPERM: not the owner;
 * -EINVAL: flags that contradict each other; -EBUSY: the deadline passed; or it pins and lazy
 * pages are not all filled, or it is unlogged and the vas is tracked; -ENOMEM; else what an op
 * said. Nothing is attached then, and *blocker (may be NULL) says who was in the way. A commit
 * that fails attaches, out of step.
 */
VAS_API int vas_consumer_attach(struct vas *vas, struct vas_consumer *consumer, uint64_t timeout_ns,
				struct vas_blocker *blocker);

/*
 * The reverse: a last harvest, commits of deltas that only remove, untrack, thaw. It waits for
 * nobody. The consumer is the caller's again.
 */
VAS_API void vas_consumer_detach(struct vas_consumer *consumer);

/*
 * Whether an attached consumer has all of the layout: 0, or the -errno for which it is out of step.
 * That shows in vas_info, too. From any thread.
 */
VAS_API int vas_consumer_status(const struct vas_consumer *consumer);

/* Have it try again, if it is out of step: its status afterwards. Not from an op. */
VAS_API int vas_consumer_retry(struct vas_consumer *consumer);

/*
 * Something of this process that goes when the handle does: `end` is called once, by vas_unbind()
 * or vas_destroy(), after the consumers were detached and while the vas is still whole. Embedded in
 * the caller's own struct; the last that came goes first. Not in a child after a fork.
 */
struct vas_cleanup {
	void (*end)(struct vas_cleanup *cleanup);
	struct vas_cleanup *next; /* the library's */
};
VAS_API void vas_cleanup_add(struct vas *vas, struct vas_cleanup *cleanup);

/* Mark a range in the dirty log, tracking or not: for a consumer's harvest. Out of range: -EINVAL.
 */
VAS_API int vas_mark_dirty(struct vas *vas, uint64_t gpa, uint64_t len);
/* The same for 64 pages at once: bit n of bits is the page at gpa + n * 4096; gpa 256 KiB aligned.
 */
VAS_API int vas_mark_dirty_word(struct vas *vas, uint64_t gpa, uint64_t bits);

/*
 * Watch a mapping of the vas's memory that the caller has made itself. If a page of it cannot be
 * had (no free huge page, a file that was cut), a private page of zeros takes its place, and
 * vas_page_failed() is true from then on, instead of SIGBUS ending the process. Returns a number
 * for vas_unwatch(), which comes before munmap() and before the handle's end, and does nothing for
 * a negative number. -ENOSPC: too many maps are watched in this process. With VAS_BIND_NO_SIGBUS,
 * the application's handler calls vas_handle_sigbus().
 */
VAS_API int vas_watch(struct vas *vas, void *hva, size_t size);
VAS_API void vas_unwatch(int watch);

/*
 * For a consumer that refuses something: remember the sentence for this thread's vas_error(), and
 * return err, a negative errno.
 */
VAS_API int vas_error_set(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
