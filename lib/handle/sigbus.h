/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Failing pages: docs/design/translation.md. Watched ranges get a zero page in the place of one
 * that raises SIGBUS, and their handle's nr_failed goes up.
 */
#ifndef VAS_LIB_FAULT_H
#define VAS_LIB_FAULT_H

#include "lib/handle/handle.h"

/* Install the process's SIGBUS handler, once. */
int vas_fault_init(void);

/* Watch [p, p + size) for vas: a number for unwatch, or -ENOSPC when the registry is full. */
int vas_fault_watch(struct vas *vas, void *p, size_t size);
void vas_fault_unwatch(int watch);

#endif
