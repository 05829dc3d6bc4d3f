/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The joint through which a consumer (KVM, vhost, VFIO, a kernel module, yours) is kept in step with
 * a vas. libvas knows no consumer; a consumer implements these ops and attaches.
 *
 *	owner            libvas                     each consumer             binders
 *	commit() ------> prepare(delta) ----------> may fail, changes nothing
 *	                 (a failure: abort() to those prepared, in reverse, and out)
 *	                 publish the new generation ------------------------> leave the old one
 *	                 wait for sections and pins
 *	                 (deadline: publish the old layout again, abort())
 *	                 commit(delta) -----------> removes, then adds; cannot fail
 *	                 give memory back
 *
 * All ops are called with the vas's change lock held, one at a time, in the thread that commits; they
 * must not change the layout or attach consumers.
 */
#ifndef VAS_CONSUMER_H
#define VAS_CONSUMER_H

#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a change takes away and what it brings, both sorted by gpa. A region that moves, grows,
 * shrinks or changes its flags is in both lists with the same id.
 */
struct vas_delta {
	const struct vas_region *removed;
	size_t nr_removed;
	const struct vas_region *added;
	size_t nr_added;
};

struct vas_consumer;

struct vas_consumer_ops {
	const char *name;

	/* Get ready for the change; -errno refuses it and must leave everything as it was. */
	int (*prepare)(struct vas_consumer *consumer, const struct vas_delta *delta);
	/* The change holds: follow it. What could fail was done in prepare. */
	void (*commit)(struct vas_consumer *consumer, const struct vas_delta *delta);
	/* The prepared change does not happen. */
	void (*abort)(struct vas_consumer *consumer, const struct vas_delta *delta);

	/* Dirty logging on or off; NULL: the consumer never writes guest memory. */
	int (*track)(struct vas_consumer *consumer, int on);
	/*
	 * Move what the consumer has logged since the last call into the vas's dirty log, with
	 * vas_mark_dirty(). Pages may be reported too often, never too rarely.
	 */
	int (*harvest)(struct vas_consumer *consumer);
	/*
	 * Frozen (on) until thawed: the consumer stops writing guest memory before it returns, or
	 * -errno refuses the freeze. NULL: it is stopped by other means (a paused vCPU).
	 */
	int (*freeze)(struct vas_consumer *consumer, int on);
};

/* Embedded in the consumer's own struct; `next` and `vas` are the library's. */
struct vas_consumer {
	const struct vas_consumer_ops *ops;
	struct vas *vas;
	struct vas_consumer *next;
};

/*
 * Attach to an owner's handle: prepare and commit are called for the present layout first, as one
 * delta that only adds; tracking is switched on if it is on. -EPERM: not the owner; else what prepare
 * or track said, and nothing is attached. Detach reverses it with a delta that only removes.
 */
VAS_API int vas_consumer_attach(struct vas *vas, struct vas_consumer *consumer);
VAS_API void vas_consumer_detach(struct vas_consumer *consumer);

/*
 * Something of this process that goes when the handle does: `end` is called once, by vas_unbind() or
 * vas_destroy(), after the consumers were detached and while the vas is still whole. Embedded in the
 * caller's own struct; the last that came goes first. Not in a child after a fork.
 */
struct vas_cleanup {
	void (*end)(struct vas_cleanup *cleanup);
	struct vas_cleanup *next; /* the library's */
};
VAS_API void vas_cleanup_add(struct vas *vas, struct vas_cleanup *cleanup);

/* Mark a range in the dirty log, tracking or not: for a consumer's harvest. Out of range: -EINVAL. */
VAS_API int vas_mark_dirty(struct vas *vas, uint64_t gpa, uint64_t len);
/* The same for 64 pages at once: bit n of bits is the page at gpa + n * 4096; gpa 256 KiB aligned. */
VAS_API int vas_mark_dirty_word(struct vas *vas, uint64_t gpa, uint64_t bits);

/*
 * Have a map of vas's memory watched that the caller has made and not libvas: a page of it that
 * cannot be had (no free huge page, a file that was cut) becomes one of zeros that is nobody's, and
 * vas_page_failed() is true from then on, instead of SIGBUS ending the process. A number for
 * vas_unwatch(), which must come before munmap() and before the handle's end (and does nothing for
 * a negative number); -ENOSPC: too many maps are watched in this process. Of a handle with
 * VAS_BIND_NO_SIGBUS, the application's handler calls vas_handle_sigbus().
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
