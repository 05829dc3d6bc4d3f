/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The inline part of libvas: sections, translation, and loads and stores of single fields.
 *
 * A section is a short stretch of code in which translations hold:
 *
 *	if (vas_enter(vas) == 0) {
 *		struct vring_desc *d = vas_translate(vas, gpa, len, VAS_PROT_READ);
 *		...
 *		vas_leave(vas);
 *	}
 *
 * Entering stores the thread's generation in its own slot and looks at one word that changes only
 * with the layout; the owner of the vas pays for the order between the two (membarrier). Keep
 * sections short and never block in one: a change of the layout waits for them.
 */
#ifndef VAS_ACCESS_H
#define VAS_ACCESS_H

#include <errno.h>
#include <string.h>

#include <vas/vas.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VAS_PROT_READ  0u
#define VAS_PROT_WRITE 1u

/*
 * What a translation needs, and the only layout of libvas that programs are compiled against: it
 * changes only with the library's major version. Immutable once published. A byte of `present` says of
 * a whole granule: 0, ask the sorted map; 1, it may be read at base + gpa; 2, written too.
 */
struct vas_view {
	char *base; /* hva of gpa 0 */
	uint64_t nr_granules;
	uint64_t mask; /* granule size - 1 */
	uint32_t shift;
	uint32_t flags; /* VAS_STATE_* */
	const uint8_t *present;
	uint64_t serial; /* of this handle's views; never used twice */
	/* The dirty log, if one look at it can tell that a page is marked; nr_dirty 0: it cannot. */
	const uint64_t *dirty;
	uint64_t nr_dirty; /* pages */
};

/* The head of a handle. Programs read it through the functions below only. */
struct vas_head {
	const struct vas_view *view; /* acquire; replaced by whoever sees a new generation first */
	const uint64_t *generation;  /* vas_control.generation */
	uint32_t index;		     /* of this handle in vas_registered_threads */
	uint32_t nr_failed;	     /* windows' pages that failed: see vas_page_failed() */
};

/*
 * A thread's tie to a handle. depth and serial are what this process goes by before it unmaps
 * anything: the slot is shared, so others might write it.
 */
struct vas_thread {
	uint64_t *slot; /* vas_slot.generation; of an observer: a word of its own */
	uint64_t generation;
	uint64_t serial; /* of the view at the last change that this thread saw */
	uint32_t depth;	 /* how deep in sections, and a bit of the library's; others read it */
};

/*
 * A thread's ties, by vas_head.index. Entry 0 stays NULL: handles that are one too many have index 0,
 * and take the way out of line.
 */
#define VAS_FAST_HANDLES 32
VAS_API extern __thread struct vas_thread *vas_registered_threads[VAS_FAST_HANDLES]
	__attribute__((tls_model("initial-exec")));

/* For a thread that has none: nothing is inlined with it, so nothing writes to it. */
VAS_API extern const struct vas_thread vas_unregistered_thread;

/* The uncommon cases, out of line. */
VAS_API int vas_enter_slow(struct vas *vas);
VAS_API int vas_enter_nested(struct vas *vas);
VAS_API void vas_leave_nested(struct vas *vas);
VAS_API void *vas_translate_slow(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot);
VAS_API int vas_copy_slow(struct vas *vas, uint64_t gpa, void *buf, size_t len, uint32_t prot,
			  size_t *done);
VAS_API void vas_mark_page(struct vas *vas, uint64_t page);
VAS_API void vas_mark_slow(struct vas *vas, uint64_t gpa, uint64_t len);

#define vas_likely(x)	__builtin_expect(!!(x), 1)
#define vas_unlikely(x) __builtin_expect(!!(x), 0)

/* Of layout, tracking and freeze together: it counts up with each change of one of them. */
static inline uint64_t vas_generation(const struct vas *vas)
{
	return __atomic_load_n(((const struct vas_head *)vas)->generation, __ATOMIC_ACQUIRE);
}

/*
 * Begin a section; they nest. 0, or -EAGAIN (no slot is free: every section of this thread would
 * fail), -EPROTO (the control area is damaged), -ENOMEM. Observers have no slots: theirs always
 * succeed and promise nothing, see vas_still().
 *
 * The tied forms are for loops: with vas_thread_register() before the loop, no section looks its thread up. They mix
 * with the others as one likes. A tie is its thread's own, and good until the handle is closed.
 */
static inline int vas_enter_registered(struct vas *vas, struct vas_thread *t)
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

static inline void vas_leave_registered(struct vas *vas, struct vas_thread *t)
{
	if (vas_unlikely(t->depth != 1)) {
		vas_leave_nested(vas);
		return;
	}
	__atomic_store_n(t->slot, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&t->depth, 0, __ATOMIC_RELEASE);
}

/* The calling thread's tie; one that only makes sections slower, if there is none to be had for it. */
VAS_API struct vas_thread *vas_thread_register(struct vas *vas);

static inline struct vas_thread *vas_thread_self(const struct vas *vas)
{
	struct vas_thread *t = vas_registered_threads[((const struct vas_head *)vas)->index];

	return vas_likely(t) ? t : (struct vas_thread *)(uintptr_t)&vas_unregistered_thread;
}

static inline int vas_enter(struct vas *vas)
{
	return vas_enter_registered(vas, vas_thread_self(vas));
}

static inline void vas_leave(struct vas *vas)
{
	vas_leave_registered(vas, vas_thread_self(vas));
}

static inline int vas_granule_is_present(const struct vas_view *view, uint64_t gpa, uint32_t prot)
{
	uint64_t i = gpa >> view->shift;

	return i < view->nr_granules && view->present[i] > prot;
}

/*
 * Does the range lie in one granule? A constant length is no longer than the smallest granule or takes
 * the second way, where the subtraction cannot wrap, and len 0 becomes the largest number.
 */
static inline int vas_granule_holds(const struct vas_view *view, uint64_t gpa, uint64_t len)
{
	if (__builtin_constant_p(len) && len && len <= VAS_PAGE_SIZE)
		return (gpa + (len - 1)) >> view->shift == gpa >> view->shift;
	return len - 1 <= view->mask - (gpa & view->mask);
}

/*
 * gpa as a pointer that is good for len bytes, or NULL: a hole, an end of what is contiguous here,
 * a read-only region and VAS_PROT_WRITE, len 0. Call it in a section; the pointer holds until the
 * section's end. Writes through it are marked by the caller: vas_mark().
 */
static inline void *vas_translate(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot)
{
	const struct vas_head *head = (const struct vas_head *)vas;
	const struct vas_view *view = __atomic_load_n(&head->view, __ATOMIC_ACQUIRE);

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
 * The caller-held cache: the last region that this caller used. For handles without a window (no
 * address space to reserve: RLIMIT_AS, a very high gpa); with one, plain vas_translate() is as fast.
 * Zero it before first use; one a thread, vCPU or queue. It never outlives its layout.
 */
struct vas_cache {
	uint64_t gpa;
	uint64_t size;
	char *hva;
	uint64_t serial;
	uint32_t prot;
};
VAS_API void *vas_cache_fill(struct vas *vas, struct vas_cache *cache, uint64_t gpa, uint64_t len,
			     uint32_t prot);

static inline void *vas_translate_cached(struct vas *vas, struct vas_cache *cache, uint64_t gpa,
					 uint64_t len, uint32_t prot)
{
	const struct vas_head *head = (const struct vas_head *)vas;
	const struct vas_view *view = __atomic_load_n(&head->view, __ATOMIC_ACQUIRE);
	uint64_t at = gpa - cache->gpa;

	if (vas_likely(view->serial == cache->serial && at < cache->size &&
		       len - 1 < cache->size - at && cache->prot >= prot))
		return cache->hva + at;
	return vas_cache_fill(vas, cache, gpa, len, prot);
}

/*
 * True if what the caller has read since it took `generation` is what the layout then held: the
 * observer's check after a read (vas_generation(), read, vas_still()).
 */
static inline int vas_still(const struct vas *vas, uint64_t generation)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return vas_generation(vas) == generation;
}

/*
 * Tell the dirty log that [gpa, gpa + len) was written: after the write, in the same section. While
 * tracking is off, two branches that are always the same.
 */
static inline void vas_mark(struct vas *vas, uint64_t gpa, uint64_t len)
{
	const struct vas_view *view =
		__atomic_load_n(&((struct vas_head *)vas)->view, __ATOMIC_ACQUIRE);
	uint64_t page = gpa >> VAS_PAGE_SHIFT;

	if (page < view->nr_dirty && len - 1 < VAS_PAGE_SIZE - (gpa & (VAS_PAGE_SIZE - 1))) {
		/* W2 in docs/design/dirty.md: marked since the last harvest. */
		if (!(__atomic_load_n(&view->dirty[page / 64], __ATOMIC_RELAXED) >> (page % 64) &
		      1))
			vas_mark_page(vas, page);
	} else if (vas_unlikely(view->flags & VAS_STATE_TRACKING)) {
		vas_mark_slow(vas, gpa, len);
	}
}

/*
 * A page of a window has failed (or the handle observes): what was accessed in this section is
 * doubtful, and vas_read() and vas_write() find out. Ask before vas_leave().
 */
static inline int vas_page_failed(const struct vas *vas)
{
	return vas_unlikely(
		__atomic_load_n(&((const struct vas_head *)vas)->nr_failed, __ATOMIC_RELAXED));
}

/*
 * memcpy, without the call where that costs more than the copy. Of a size known at compile time the
 * compiler knows better.
 */
static inline void vas_copy_bytes(void *to, const void *from, size_t len)
{
	const char *src = (const char *)from;
	char *dst = (char *)to;

	if (__builtin_constant_p(len) || len > 64 || len < 8) {
		memcpy(dst, src, len);
	} else if (len >= 32) {
		memcpy(dst, src, 32);
		memcpy(dst + len - 32, src + len - 32, 32);
	} else if (len >= 16) {
		memcpy(dst, src, 16);
		memcpy(dst + len - 16, src + len - 16, 16);
	} else {
		memcpy(dst, src, 8);
		memcpy(dst + len - 8, src + len - 8, 8);
	}
}

/*
 * Copy out of guest memory, and into it. When the call stops early, *done (may be NULL) has the bytes
 * done and the result says why: see vas_fill(3). Of a size that the compiler knows it is a few
 * instructions more than the copy; in a section of the caller's, translating and memcpy is less still.
 */
static inline int vas_read(struct vas *vas, uint64_t gpa, void *buf, size_t len, size_t *done)
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

static inline int vas_write(struct vas *vas, uint64_t gpa, const void *buf, size_t len,
			    size_t *done)
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
 * Single fields, 8 to 64 bits, little endian: one fetch or store of that width, with an explicit
 * __ATOMIC_* order, so that a guest that changes the field meanwhile gives the old or the new value.
 * gpa must be a multiple of the width (-EINVAL). The read-modify-write forms return the old value.
 *
 *	int vas_load_le16(vas, gpa, &val, order)	int vas_store_le16(vas, gpa, val, order)
 *	int vas_fetch_or_le16(vas, gpa, val, &old, order)	... fetch_and, fetch_add, exchange
 *	int vas_cmpxchg_le16(vas, gpa, &expected, desired, order): -EAGAIN if it was not as expected
 */
VAS_API int vas_field_error(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot);
VAS_API int vas_field_check(struct vas *vas, uint64_t gpa, uint64_t len);

/* Enter, and translate an aligned field. NULL: not entered, and *err says why. */
static inline void *vas_field(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot, int *err)
{
	void *p;

	if (vas_unlikely(gpa & (len - 1))) {
		*err = -EINVAL;
		return NULL;
	}
	*err = vas_enter(vas);
	if (vas_unlikely(*err))
		return NULL;
	p = vas_translate(vas, gpa, len, prot);
	if (vas_likely(p))
		return p;
	*err = vas_field_error(vas, gpa, len, prot);
	vas_leave(vas);
	return NULL;
}

/* After a store or read-modify-write: mark, leave, and find out if the page was there. */
static inline int vas_field_end(struct vas *vas, uint64_t gpa, uint64_t len)
{
	int failed = vas_page_failed(vas);

	vas_mark(vas, gpa, len);
	vas_leave(vas);
	return failed ? vas_field_check(vas, gpa, len) : 0;
}

#define VAS_DEFINE_RMW(op, name, bits)                                                             \
	static inline int vas_##name##_le##bits(struct vas *vas, uint64_t gpa, uint##bits##_t val, \
						uint##bits##_t *old, int order)                    \
	{                                                                                          \
		int err;                                                                           \
		uint##bits##_t *p =                                                                \
			(uint##bits##_t *)vas_field(vas, gpa, bits / 8, VAS_PROT_WRITE, &err);     \
                                                                                                   \
		if (vas_unlikely(!p))                                                              \
			return err;                                                                \
		*old = op(p, val, order);                                                          \
		return vas_field_end(vas, gpa, bits / 8);                                          \
	}

#define VAS_DEFINE_FIELD(bits)                                                                   \
	static inline int vas_load_le##bits(struct vas *vas, uint64_t gpa, uint##bits##_t *val,  \
					    int order)                                           \
	{                                                                                        \
		int err;                                                                         \
		uint##bits##_t *p =                                                              \
			(uint##bits##_t *)vas_field(vas, gpa, bits / 8, VAS_PROT_READ, &err);    \
                                                                                                 \
		if (vas_unlikely(!p))                                                            \
			return err;                                                              \
		*val = __atomic_load_n(p, order);                                                \
		err = vas_page_failed(vas);                                                      \
		vas_leave(vas);                                                                  \
		return err ? vas_copy_slow(vas, gpa, val, bits / 8, VAS_PROT_READ, NULL) : 0;    \
	}                                                                                        \
	static inline int vas_store_le##bits(struct vas *vas, uint64_t gpa, uint##bits##_t val,  \
					     int order)                                          \
	{                                                                                        \
		int err;                                                                         \
		uint##bits##_t *p =                                                              \
			(uint##bits##_t *)vas_field(vas, gpa, bits / 8, VAS_PROT_WRITE, &err);   \
                                                                                                 \
		if (vas_unlikely(!p))                                                            \
			return err;                                                              \
		__atomic_store_n(p, val, order);                                                 \
		return vas_field_end(vas, gpa, bits / 8);                                        \
	}                                                                                        \
	static inline int vas_cmpxchg_le##bits(struct vas *vas, uint64_t gpa,                    \
					       uint##bits##_t *expected, uint##bits##_t desired, \
					       int order)                                        \
	{                                                                                        \
		int err, swapped;                                                                \
		uint##bits##_t *p =                                                              \
			(uint##bits##_t *)vas_field(vas, gpa, bits / 8, VAS_PROT_WRITE, &err);   \
                                                                                                 \
		if (vas_unlikely(!p))                                                            \
			return err;                                                              \
		swapped = __atomic_compare_exchange_n(p, expected, desired, 0, order,            \
						      __ATOMIC_RELAXED);                         \
		err = vas_field_end(vas, gpa, bits / 8);                                         \
		return err ? err : swapped ? 0 : -EAGAIN;                                        \
	}                                                                                        \
	VAS_DEFINE_RMW(__atomic_fetch_or, fetch_or, bits)                                        \
	VAS_DEFINE_RMW(__atomic_fetch_and, fetch_and, bits)                                      \
	VAS_DEFINE_RMW(__atomic_fetch_add, fetch_add, bits)                                      \
	VAS_DEFINE_RMW(__atomic_exchange_n, exchange, bits)

VAS_DEFINE_FIELD(8)
VAS_DEFINE_FIELD(16)
VAS_DEFINE_FIELD(32)
VAS_DEFINE_FIELD(64)

#undef VAS_DEFINE_FIELD
#undef VAS_DEFINE_RMW

#ifdef __cplusplus
}
#endif

#endif
