/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Failing pages: docs/design/translation.md. In a watched range a page that raises SIGBUS gets
 * zeros in its place, and is noted in its handle.
 *
 *	handler (any thread)			who copies (lib/access/access.c)
 *	N1  failures.active up			C1  copy
 *	N2  note the page, head.nr_failed up	C2  nr_failed is 0: what was copied is good
 *	N3  map zeros				C3  else: map the true pages again, ask whether
 *	N4  failures.active down		    what was copied is among those noted since
 *
 * N2 comes before N3, so that nobody takes the zeros for memory. Nothing is mapped outside of what
 * is watched. A process that has as many maps as it may have (vm.max_map_count) still gets its
 * zeros: there are spare maps that the handler gives up, and when those are used up all of the
 * range becomes zeros at once, which needs no further map. Its accesses fail then until there is
 * room again.
 */
#ifndef VAS_LIB_FAULT_H
#define VAS_LIB_FAULT_H

#include <stdbool.h>

#include "lib/handle/handle.h"

/* Install the process's SIGBUS handler, once, unless the handle does not want it. */
int vas_fault_init(const struct vas *vas);

/*
 * Watch [p, p + size) for vas: a number for unwatch, or -ENOSPC when the registry is full. The
 * control area is never given up as a whole: others' words are in it.
 */
int vas_fault_watch(struct vas *vas, void *p, size_t size);
void vas_fault_unwatch(int watch);

/* The calling thread will touch guest memory: it has to get SIGBUS, where our handler takes it. */
void vas_fault_unblock(const struct vas *vas);

/* Spare maps that were given up, again. */
void vas_fault_refill(void);

void vas_fault_before_fork(void);
void vas_fault_after_fork(void);

#endif
