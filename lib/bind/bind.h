/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef VAS_LIB_BIND_H
#define VAS_LIB_BIND_H

#include "lib/handle/handle.h"

/* The child of a fork uses the handle for the first time: it becomes a binder of its own. */
int vas_rebind_after_fork(struct vas *vas);

#endif
