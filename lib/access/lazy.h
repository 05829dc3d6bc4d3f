/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Lazy memory: docs/design/lazy.md. A log, in the place of a tracker's, has a bit for each page
 * that is not filled yet. Whoever finds one set sends a request to the owner.
 */
#ifndef VAS_LIB_LAZY_H
#define VAS_LIB_LAZY_H

#include <stdbool.h>
#include <vas/lazy.h>

#include "lib/handle/handle.h"

/* vas_control.lazy_failed of a vas that was adopted: its source died with the owner. */
#define LAZY_NEVER UINT64_MAX

/* Bytes of gpa that are filled together: those of a word of the log. */
#define WORD_SIZE (VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE)

/*
 * Where the newest view of this process is not of the present generation: what that generation
 * says.
 */
int vas_lazy_by_state(struct vas *vas);

/* Wait until [gpa, gpa + len) is there. 0, -EIO, -ETIMEDOUT. May be called in a section. */
int vas_lazy_range_slow(struct vas *vas, uint64_t gpa, uint64_t len);

/* The owner's state has to say so too, which a peer cannot change for those who have copied it. */
static inline int vas_is_lazy(struct vas *vas)
{
	if (vas_likely(!__atomic_load_n(&vas->ctl->lazy_log, __ATOMIC_ACQUIRE)))
		return 0;
	/*
	 * Acquire: flags are of that generation or newer; partner: the release in view_replace().
	 */
	if (__atomic_load_n(&vas->seen_generation, __ATOMIC_ACQUIRE) != vas_generation(vas))
		return vas_lazy_by_state(vas);
	return __atomic_load_n(&vas->seen_flags, __ATOMIC_RELAXED) & VAS_STATE_LAZY;
}

static inline int vas_lazy_range(struct vas *vas, uint64_t gpa, uint64_t len)
{
	return vas_is_lazy(vas) ? vas_lazy_range_slow(vas, gpa, len) : 0;
}

/*
 * Enter a section in which [gpa, gpa + len) is there. It waits outside of the section; inside, it
 * only looks again whether pages are missing, as the layout may have changed on the way.
 */
int vas_lazy_enter(struct vas *vas, uint64_t gpa, uint64_t len);

/* Bytes from gpa on, at most len, that are requested in one step while memory is lazy. */
uint64_t vas_lazy_step(struct vas *vas, uint64_t gpa, uint64_t len);

/* Missing pages of these regions count as touched: mark them in log. */
void vas_lazy_mark(struct vas *vas, const struct vas_region *regions, uint32_t nr,
		   const struct vas_log *log);

/* Is a page of the range missing? Looks, and requests nothing. */
bool vas_lazy_misses(struct vas *vas, uint64_t gpa, uint64_t len);

#endif
