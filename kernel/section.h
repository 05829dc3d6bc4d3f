/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Lanes: the shared slots that a binding's sections take in turn. */
#ifndef VAS_KERNEL_SECTION_H
#define VAS_KERNEL_SECTION_H

#include <linux/types.h>

struct vas;

int vas_lanes_init(struct vas *vas);
void vas_lanes_clean(struct vas *vas);

#endif
