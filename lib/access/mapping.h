/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pins, as the control area has them. */
#ifndef VAS_LIB_PIN_H
#define VAS_LIB_PIN_H

#include <stdbool.h>

#include "lib/handle/handle.h"

/* Release what a dead binder pinned; the caller holds the binder's byte. */
void vas_pins_reclaim(struct vas *vas, uint32_t binder);

/* What is requested of the holders of pins. */
enum pin_request { PIN_KEEP, PIN_UNMAP, PIN_QUIESCE };

/*
 * Pins on any of the ranges (sorted by gpa, no overlap) whose map shows a layout from generation
 * `since` on and before `before`, or that do not say which.
 */
struct pin_set {
	const struct vas_region *ranges;
	size_t nr;
	uint64_t since;
	uint64_t before;
};

/*
 * Send the holders of these pins a request; with PIN_QUIESCE only writable pins count, and those
 * that are quiet already do not. Returns how many have not complied, and the first of them in
 * *blocker.
 */
uint32_t vas_pins_request(struct vas *vas, const struct pin_set *set, enum pin_request request,
			  struct vas_blocker *blocker);

/* Is there a pin that vas_pins_mark() would mark? */
bool vas_pins_are_dirty(const struct vas *vas);

/*
 * Mark every writable pin that does not mark for itself in a tracker's own log: they are dirty in
 * every round. Under the drain lock. False: they are too large to mark, so all that was touched is
 * dirty.
 */
bool vas_pins_mark(struct vas *vas, const struct vas_log *log);

#endif
