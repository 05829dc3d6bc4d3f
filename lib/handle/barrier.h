/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The expensive half of an asymmetric barrier: P4 and H3 in docs/design/. */
#ifndef VAS_LIB_BARRIER_H
#define VAS_LIB_BARRIER_H

#include "lib/handle/handle.h"

/* Register this process as one that barriers must reach: 0, or -errno: use fences instead. */
int vas_barrier_register(void);

/* Every thread of every registered process has passed a full barrier when this returns. */
void vas_barrier_everyone(void);

/* The same for this process's threads. */
void vas_barrier_process(void);

/*
 * Whether the handle's process can wait for others' sections, and for what they have stored: 0, or
 * -EOPNOTSUPP, as it has no membarrier, and their sections begin without a fence.
 */
int vas_barrier_reaches(struct vas *vas);

#endif
