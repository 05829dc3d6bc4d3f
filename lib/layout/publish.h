/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The owner's side of a change: write a generation, wait for the old one to empty. The steps
 * P1 to P6 are those of docs/design/sections.md. vas->change is held in all of it.
 */
#ifndef VAS_LIB_PUBLISH_H
#define VAS_LIB_PUBLISH_H

#include <stdbool.h>

#include "lib/handle/handle.h"
#include "lib/handle/pins.h"

/*
 * P1 to P4: a new generation with vas->own's flags, with the backings as they are, and with new
 * regions (malloced; owned by vas->own from then on, and those that were there are freed) unless
 * NULL. -ENOMEM: the table cannot be allocated; nothing is published.
 */
int vas_publish(struct vas *vas, struct vas_region *regions, uint32_t nr);

/*
 * P5: no section in a generation before the present one, and none of these pins (NULL: never mind
 * pins). -EBUSY at the deadline, with the blocker, and requests to pins are taken back.
 */
int vas_publish_wait(struct vas *vas, const struct pin_set *pins, uint64_t deadline_ns,
		     struct vas_blocker *blocker);

/*
 * One look at P5, for who may not wait: 0; -EBUSY: not yet, and *blocker says for whom, if that is
 * known. Holders of the pins (NULL: never mind pins) have the request, and keep it.
 */
int vas_publish_look(struct vas *vas, const struct pin_set *pins, enum vas_pin_request request,
		     struct vas_blocker *blocker);

/* A flag of the generations from the next one on. Threads that build a view look at them, too. */
void vas_publish_flag(struct vas *vas, uint32_t flag, bool on);

#endif
