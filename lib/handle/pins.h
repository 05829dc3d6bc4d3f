/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pins on ranges of the layout, for those who take ranges away or freeze. */
#ifndef VAS_LIB_PINS_H
#define VAS_LIB_PINS_H

#include "core/protocol/protocol.h"
#include "lib/handle/handle.h"

/*
 * Pins on any of the ranges (sorted by gpa, no overlap) whose map shows a layout from generation
 * `since` on and before `before`, or that do not say which.
 */
struct pin_set {
	struct vas_pin_set set;
	const struct vas_region *ranges;
	size_t nr;
	uint64_t since;
	uint64_t before;
};

struct pin_set vas_pins_on(const struct vas_region *ranges, size_t nr, uint64_t since,
			   uint64_t before);
struct pin_set vas_pins_all(const struct vas *vas);

/*
 * Tell the holders of these pins. Returns how many have not complied, and the first of them in
 * *blocker (may be NULL). See vas_pins_request().
 */
uint32_t vas_pins_ask(struct vas *vas, const struct pin_set *pins, enum vas_pin_request request,
		      struct vas_blocker *blocker);

/*
 * Ask until all have complied: 0. At the deadline -EBUSY, with the blocker; and unless it freezes,
 * the pins are asked no more.
 */
int vas_pins_wait(struct vas *vas, const struct pin_set *pins, enum vas_pin_request request,
		  uint64_t deadline_ns, struct vas_blocker *blocker);

#endif
