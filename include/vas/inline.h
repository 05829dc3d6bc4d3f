/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the inlined functions of <vas/access.h> and <vas/field.h> are made of. Programs call nothing
 * of this. They are compiled against it, though: it changes only with the library's major version.
 */
#ifndef VAS_INLINE_H
#define VAS_INLINE_H

#include <errno.h>
#include <string.h>

#include <vas/handle.h>

#ifdef __cplusplus
extern "C" {
#endif

#define vas_likely(x)	__builtin_expect(!!(x), 1)
#define vas_unlikely(x) __builtin_expect(!!(x), 0)

/*
 * What a translation needs. Immutable once published. A byte of `present` describes a whole
 * granule: 0, ask the sorted map; 1, base + gpa may be read; 2, and written.
 */
struct vas_view {
	char *base; /* hva of gpa 0 */
	uint64_t nr_granules;
	uint64_t mask; /* granule size - 1 */
	uint32_t shift;
	uint32_t flags; /* VAS_STATE_* */
	const uint8_t *present;
	uint64_t serial; /* of this handle's views; never used twice */
	/* The dirty log, if a look at it tells that a page is marked; nr_dirty 0: it does not. */
	const uint64_t *dirty;
	uint64_t nr_dirty; /* pages */
};

/* The head of a handle. */
struct vas_head {
	const struct vas_view *view; /* acquire; replaced by whoever sees a new generation first */
	const uint64_t *generation;  /* vas_control.generation */
	uint32_t index;		     /* of this handle in vas_registered_threads */
	uint32_t nr_failed;	     /* pages that failed: see vas_page_failed() */
};

/*
 * A thread that uses a handle. depth and serial are what this process goes by before it unmaps
 * anything: the slot is shared memory, which others might write.
 */
struct vas_thread {
	uint64_t *slot; /* vas_slot.generation; of an observer: a word of its own */
	uint64_t generation;
	uint64_t serial; /* of the view at the last change that this thread saw */
	uint32_t depth;	 /* of nested sections, and a bit of the library's; others read it */
};

/*
 * The calling thread in each handle, by vas_head.index. If it is not registered there, the entry is
 * one for all such threads, with which nothing is inlined. So is entry 0, always: handles beyond
 * this number have index 0.
 *
 * No tls_model here, so that dlopen() takes whatever includes this. It costs executables nothing. A
 * shared object that is never dlopen()ed may be compiled with -ftls-model=initial-exec: it spares
 * the call of __tls_get_addr().
 */
#define VAS_FAST_HANDLES 32
VAS_API extern __thread struct vas_thread *vas_registered_threads[VAS_FAST_HANDLES];

struct vas_cache; /* <vas/access.h> */

/* The uncommon cases. */
VAS_API int vas_enter_slow(struct vas *vas);
VAS_API int vas_enter_nested(struct vas *vas);
VAS_API void vas_leave_nested(struct vas *vas);
VAS_API void *vas_translate_slow(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot);
VAS_API int vas_field_error(uint64_t gpa, uint64_t len);
VAS_API int vas_translate_error(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot);
VAS_API void *vas_cache_fill(struct vas *vas, struct vas_cache *cache, uint64_t gpa, uint64_t len,
			     uint32_t prot);
VAS_API int vas_copy_slow(struct vas *vas, uint64_t gpa, void *buf, size_t len, uint32_t prot,
			  size_t *done);
VAS_API int vas_write_end_slow(struct vas *vas, uint64_t gpa, uint64_t len);
VAS_API void vas_mark_page(struct vas *vas, uint64_t page);
VAS_API void vas_mark_slow(struct vas *vas, uint64_t gpa, uint64_t len);

VAS_INLINE struct vas_thread *vas_thread_self(const struct vas *vas)
{
	return vas_registered_threads[((const struct vas_head *)vas)->index];
}

VAS_INLINE const struct vas_view *vas_view_self(const struct vas *vas)
{
	return __atomic_load_n(&((const struct vas_head *)vas)->view, __ATOMIC_ACQUIRE);
}

VAS_INLINE int vas_granule_is_present(const struct vas_view *view, uint64_t gpa, uint32_t prot)
{
	uint64_t i = gpa >> view->shift;

	return i < view->nr_granules && view->present[i] > prot;
}

/*
 * Does the range lie in one granule? A constant length is no longer than the smallest granule or
 * takes the second way, where the subtraction cannot wrap, and len 0 becomes the largest number.
 */
VAS_INLINE int vas_granule_holds(const struct vas_view *view, uint64_t gpa, uint64_t len)
{
	if (__builtin_constant_p(len) && len && len <= VAS_PAGE_SIZE)
		return (gpa + (len - 1)) >> view->shift == gpa >> view->shift;
	return len - 1 <= view->mask - (gpa & view->mask);
}

#if defined(__SANITIZE_THREAD__)
#define VAS_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VAS_THREAD_SANITIZER
#endif
#endif

#ifdef VAS_THREAD_SANITIZER
/*
 * A copy races with whoever writes guest memory, the guest for one, and promises no more than
 * memcpy() does: ThreadSanitizer does not see it.
 */
void vas_copy_bytes(void *to, const void *from, size_t len);
__attribute__((weak, noinline, no_sanitize("thread"))) void
vas_copy_bytes(void *to, const void *from, size_t len)
{
	const volatile char *src = (const volatile char *)from;
	volatile char *dst = (volatile char *)to;

	while (len--)
		*dst++ = *src++;
}
#else
/*
 * memcpy, without the call where that costs more than the copy. The compiler does better with a
 * size that it knows.
 */
VAS_INLINE void vas_copy_bytes(void *to, const void *from, size_t len)
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
#endif

#ifdef __cplusplus
}
#endif

#endif
