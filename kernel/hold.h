/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What an owner does to all bindings of a space at once: take ranges away, freeze. */
#ifndef VAS_KERNEL_HOLD_H
#define VAS_KERNEL_HOLD_H

#include <linux/ktime.h>
#include <linux/types.h>

struct vas_ko_blocker;
struct vas_ko_range;
struct vas_space;

int vas_hold_take(struct vas_space *space, const struct vas_ko_range *ranges, u32 nr,
		  ktime_t deadline, struct vas_ko_blocker *blocker);
void vas_hold_give(struct vas_space *space);
int vas_hold_freeze(struct vas_space *space, ktime_t deadline, struct vas_ko_blocker *blocker);
void vas_hold_thaw(struct vas_space *space);

#endif
