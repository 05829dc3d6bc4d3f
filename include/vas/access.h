/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Access to guest memory: sections, translation, copies. <vas/field.h> has single fields.
 *
 * A section is a short part of a thread's code in which translations hold:
 *
 *	if (vas_enter(vas) == 0) {
 *		struct vring_desc *d = vas_translate(vas, gpa, len, VAS_PROT_READ);
 *		use(d);
 *		vas_leave(vas);
 *	}
 *
 * Entering stores the thread's generation in its own slot and loads one word that changes only with
 * the layout; the owner pays for the order between the two (membarrier). The idea is that of RCU
 * read sides. Keep sections short and never block in one: a change of the layout waits for them.
 *
 * An access fails with the same errors everywhere. -EFAULT: no region holds the address. -EACCES: a
 * write to a read-only region, or by an observer. -EIO: the page failed (no memory, a truncated
 * backing, bad memory), or is lazy and its source has failed. -ETIMEDOUT: a lazy page was not
 * filled within 10 s. -ENXIO: the backing's fd is not in this process, or the region is local to
 * another. -EAGAIN: a write while the vas is frozen, or as from vas_enter().
 */
#ifndef VAS_ACCESS_H
#define VAS_ACCESS_H

#include <vas/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VAS_PROT_READ  0u
#define VAS_PROT_WRITE 1u

/* ---- sections ----------------------------------------------------------------------------- */

/*
 * The generation of layout, tracking and freeze together: each change of one of them counts it up.
 */
VAS_INLINE uint64_t vas_generation(const struct vas *vas)
{
	return __atomic_load_n(((const struct vas_head *)vas)->generation, __ATOMIC_ACQUIRE);
}

/*
 * The calling thread's entry in the handle, for loops that enter many sections: the _registered
 * forms do not look it up each time. It is the thread's own, and good until the handle is closed.
 * Never NULL; if there is no slot for the thread, sections by it are only slower, or fail.
 */
VAS_API struct vas_thread *vas_thread_register(struct vas *vas);

/*
 * Begin and end a section. Sections nest; each vas_enter() that returned 0 needs a vas_leave() in
 * the same thread. The _registered forms are for what vas_thread_register() returned, and both
 * forms may be mixed.
 *
 * -EAGAIN: no slot is free for this thread. -EPROTO: the control area is damaged.
 * -ENOMEM. An observer has no slot: nobody waits for its sections, see vas_observe_begin().
 */
VAS_INLINE int vas_enter_registered(struct vas *vas, struct vas_thread *t)
{
	if (vas_unlikely(t->depth))
		return vas_enter_nested(vas);
	/* Constants, not sums: one section does not wait for the stores of the one before. */
	__atomic_store_n(&t->depth, 1, __ATOMIC_RELAXED);
	/* E1. Pairs, like depth, with the read of it after a membarrier or fence (P5). */
	__atomic_store_n(t->slot, t->generation, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (vas_likely(vas_generation(vas) == t->generation))
		return 0;
	return vas_enter_slow(vas);
}

VAS_INLINE void vas_leave_registered(struct vas *vas, struct vas_thread *t)
{
	if (vas_unlikely(t->depth != 1)) {
		vas_leave_nested(vas);
		return;
	}
	__atomic_store_n(t->slot, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&t->depth, 0, __ATOMIC_RELEASE);
}

VAS_INLINE int vas_enter(struct vas *vas)
{
	return vas_enter_registered(vas, vas_thread_self(vas));
}

VAS_INLINE void vas_leave(struct vas *vas)
{
	vas_leave_registered(vas, vas_thread_self(vas));
}

/*
 * For observers, whom no change waits for: read as with a seqlock.
 *
 *	do {
 *		seq = vas_observe_begin(vas);
 *		memcpy(copy, ptr, len); // and nothing of it is used yet
 *	} while (vas_observe_retry(vas, seq));
 *
 * vas_observe_retry() returns 1 if layout, tracking or freeze changed since, so that what was read
 * may be of no region any more; else 0. It says nothing about guest memory, which changes at any
 * time. vas_read() does this by itself.
 */
VAS_INLINE uint64_t vas_observe_begin(const struct vas *vas)
{
	return vas_generation(vas);
}

VAS_INLINE int vas_observe_retry(const struct vas *vas, uint64_t seq)
{
	/* The caller's loads come before this one of the generation. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return vas_generation(vas) != seq;
}

/* ---- translation -------------------------------------------------------------------------- */

/*
 * gpa as a pointer that is good for len bytes, in the section that the caller is in. prot is
 * VAS_PROT_READ or VAS_PROT_WRITE. Who writes through the pointer calls vas_mark() afterwards and
 * vas_page_failed() last; vas_write_begin() and vas_write_end() do both.
 *
 * NULL: no region holds all of it, it is not contiguous in this process, VAS_PROT_WRITE and
 * read-only or frozen, or len is 0. vas_read() and vas_write() tell which.
 */
VAS_INLINE void *vas_translate(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot)
{
	const struct vas_view *view = vas_view_self(vas);

	if (vas_likely(vas_granule_holds(view, gpa, len) &&
		       vas_granule_is_present(view, gpa, prot))) {
		void *hva = view->base + gpa;

		if (!hva)
			__builtin_unreachable(); /* spares callers their test of it */
		return hva;
	}
	return vas_translate_slow(vas, gpa, len, prot);
}

/*
 * A cache that its caller holds: the last region that this caller used. For handles without a
 * window (no address space to reserve: RLIMIT_AS, a very high gpa); with a window plain
 * vas_translate() is as fast. Zero it before first use; have one for each thread, vCPU or queue.
 * What it holds is never used under a later layout. The fields are private.
 */
struct vas_cache {
	uint64_t gpa;
	uint64_t size;
	char *hva;
	uint64_t serial;
	uint32_t prot;
};

/*
 * vas_translate() with the caller's cache: see struct vas_cache. One caller at a time on a cache.
 */
VAS_INLINE void *vas_translate_cached(struct vas *vas, struct vas_cache *cache, uint64_t gpa,
				      uint64_t len, uint32_t prot)
{
	const struct vas_view *view = vas_view_self(vas);
	uint64_t at = gpa - cache->gpa;

	if (vas_likely(view->serial == cache->serial && at < cache->size &&
		       len - 1 < cache->size - at && cache->prot >= prot))
		return cache->hva + at;
	return vas_cache_fill(vas, cache, gpa, len, prot);
}

/*
 * The range as iovecs, for writev(), io_uring and the like: up to nr of them, each contiguous in
 * this process; returns how many. prot is VAS_PROT_WRITE if anybody, the kernel too, writes to
 * them; the caller then marks what was written. Call it in a section; the pointers hold until its
 * end.
 *
 * -E2BIG: more than nr are needed. -EFAULT, -EACCES, -EIO, -ENXIO, -EAGAIN as any access.
 */
VAS_API int vas_iov(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot, struct iovec *iov,
		    int nr);

/*
 * Record in the dirty log that [gpa, gpa + len) was written: after the write, in the same section.
 * Without it, migration and snapshots miss the write. While nobody tracks, it costs two branches.
 * An observer marks nothing.
 */
VAS_INLINE void vas_mark(struct vas *vas, uint64_t gpa, uint64_t len)
{
	const struct vas_view *view = vas_view_self(vas);
	uint64_t page = gpa >> VAS_PAGE_SHIFT;

	if (page < view->nr_dirty && len - 1 < VAS_PAGE_SIZE - (gpa & (VAS_PAGE_SIZE - 1))) {
		/* W2: marked since the last harvest. */
		if (!(__atomic_load_n(&view->dirty[page / 64], __ATOMIC_RELAXED) >> (page % 64) &
		      1))
			vas_mark_page(vas, page);
	} else if (vas_unlikely(view->flags & VAS_STATE_TRACKING)) {
		vas_mark_slow(vas, gpa, len);
	}
}

/*
 * 1 if a page that this handle maps has failed, or the handle observes: what was accessed in this
 * section may be wrong, and vas_read() or vas_write() of it tells whether it is. Else 0. Ask before
 * vas_leave().
 */
VAS_INLINE int vas_page_failed(const struct vas *vas)
{
	return vas_unlikely(__atomic_load_n(&((const struct vas_head *)vas)->nr_failed,
					    __ATOMIC_RELAXED)) != 0;
}

/* ---- copies ------------------------------------------------------------------------------- */

/*
 * Copy len bytes out of guest memory, and into it, across regions. With a length that the compiler
 * knows this costs a few instructions more than the copy.
 *
 * On an error *done (may be NULL) has the bytes that were copied: gpa + *done is where it stopped
 * and the result says why. -EFAULT, -EACCES, -EIO, -ETIMEDOUT, -ENXIO, -EAGAIN as any access.
 * Copies have the width of memcpy and are not atomic: for what the guest changes meanwhile, use
 * <vas/field.h>. buf must not overlap guest memory.
 */
VAS_INLINE int vas_read(struct vas *vas, uint64_t gpa, void *buf, size_t len, size_t *done)
{
	struct vas_thread *t = vas_thread_self(vas);
	int failed = 1;

	if (vas_likely(!vas_enter_registered(vas, t))) {
		const void *p = vas_translate(vas, gpa, len, VAS_PROT_READ);

		if (vas_likely(p)) {
			vas_copy_bytes(buf, p, len);
			failed = vas_page_failed(vas);
		}
		vas_leave_registered(vas, t);
	}
	if (vas_unlikely(failed))
		return vas_copy_slow(vas, gpa, buf, len, VAS_PROT_READ, done);
	if (done)
		*done = len;
	return 0;
}

VAS_INLINE int vas_write(struct vas *vas, uint64_t gpa, const void *buf, size_t len, size_t *done)
{
	struct vas_thread *t = vas_thread_self(vas);
	int failed = 1;

	if (vas_likely(!vas_enter_registered(vas, t))) {
		void *p = vas_translate(vas, gpa, len, VAS_PROT_WRITE);

		if (vas_likely(p)) {
			vas_copy_bytes(p, buf, len);
			vas_mark(vas, gpa, len);
			failed = vas_page_failed(vas);
		}
		vas_leave_registered(vas, t);
	}
	if (vas_unlikely(failed))
		return vas_copy_slow(vas, gpa, (void *)(uintptr_t)buf, len, VAS_PROT_WRITE, done);
	if (done)
		*done = len;
	return 0;
}

/*
 * Copy between a list of guest ranges and a list of buffers, as readv() and process_vm_readv() do:
 * a device's descriptor chain in one call and, in the common case, one section. The lists need not
 * be cut alike; as many bytes are copied as the shorter list has. Empty entries are allowed.
 *
 * On an error *done (may be NULL) has the bytes copied before the one that failed, counted from the
 * first entry on. Errors as vas_read() and vas_write(); no entry is checked before its turn.
 */
VAS_API int vas_readv(struct vas *vas, const struct vas_range *ranges, size_t nr_ranges,
		      const struct iovec *iov, size_t nr_iov, size_t *done);
VAS_API int vas_writev(struct vas *vas, const struct vas_range *ranges, size_t nr_ranges,
		       const struct iovec *iov, size_t nr_iov, size_t *done);

/*
 * Write through a pointer: begin enters a section and translates; end marks what was written,
 * leaves the section and says whether the memory was there. Between the two, *ptr is good for len
 * bytes.
 *
 *	err = vas_write_begin(vas, gpa, sizeof(*used), &ptr);
 *	if (!err) {
 *		fill_in((struct vring_used *)ptr);
 *		err = vas_write_end(vas, gpa, sizeof(*used));
 *	}
 *
 * An error of begin: no section was entered, and *ptr is NULL. -EINVAL: len is 0. -E2BIG: the range
 * is not contiguous in this process: use vas_write() or vas_iov(). Else as vas_write().
 * vas_write_end: -EIO: a page failed under the pointer, and what was written to it is lost.
 */
VAS_INLINE int vas_write_begin(struct vas *vas, uint64_t gpa, uint64_t len, void **ptr)
{
	int err = vas_enter(vas);

	*ptr = NULL;
	if (vas_unlikely(err))
		return err;
	*ptr = vas_translate(vas, gpa, len, VAS_PROT_WRITE);
	if (vas_likely(*ptr))
		return 0;
	err = vas_translate_error(vas, gpa, len, VAS_PROT_WRITE);
	vas_leave(vas);
	return err;
}

VAS_INLINE int vas_write_end(struct vas *vas, uint64_t gpa, uint64_t len)
{
	vas_mark(vas, gpa, len);
	if (vas_unlikely(vas_page_failed(vas)))
		return vas_write_end_slow(vas, gpa, len);
	vas_leave(vas);
	return 0;
}

/* Set len bytes to `byte`. *done and errors as vas_write(); more than a page as vas_poke() does. */
VAS_API int vas_fill(struct vas *vas, uint64_t gpa, uint8_t byte, size_t len, size_t *done);

/*
 * As vas_read(), for looking at large ranges: memory that was never touched reads as zeros and
 * stays unallocated, in huge pages too. Lazy pages in the range are filled. Slower than vas_read()
 * where little is in memory: it is read from the files.
 */
VAS_API int vas_peek(struct vas *vas, uint64_t gpa, void *buf, size_t len, size_t *done);

/*
 * As vas_write(), for large ranges that perhaps were never touched: such pages are written through
 * their files, without a page fault each, and those that are to be zero stay unallocated. Pages
 * that are in memory are written there. Slower than vas_write() where all of them are, or for a few
 * bytes.
 */
VAS_API int vas_poke(struct vas *vas, uint64_t gpa, const void *buf, size_t len, size_t *done);

/*
 * Compare len bytes with buf as memcmp() does: *order is < 0, 0 or > 0, and *done (may be NULL) the
 * length of the equal part. Errors as vas_read(), if all before the failing byte is equal.
 */
VAS_API int vas_compare(struct vas *vas, uint64_t gpa, const void *buf, size_t len, int *order,
			size_t *done);

struct vas_pattern {
	const void *bytes;
	const void *mask; /* NULL, or len bytes: only bits set here are compared */
	size_t len;	  /* 1 to 4096 */
};

/*
 * Find the first match that lies in [gpa, gpa + len). No match crosses a hole of the layout. Memory
 * that was never touched holds only zeros and is skipped, unless the pattern matches zeros. Pages
 * that fail are skipped.
 *
 * -ENOENT: there is none. -EINVAL: the pattern's length.
 */
VAS_API int vas_search(struct vas *vas, uint64_t gpa, uint64_t len,
		       const struct vas_pattern *pattern, uint64_t *found);

#ifdef __cplusplus
}
#endif

#endif
