/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Backings that the library adds by itself. */
#ifndef VAS_LIB_BACKING_H
#define VAS_LIB_BACKING_H

#include "lib/handle/handle.h"

/* vas_backing_add() of any handle that owns its vas, with an fd that may be read-only. */
int vas_backing_add_any(struct vas *vas, int fd);

#endif
