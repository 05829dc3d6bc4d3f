/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The two ends of a freeze, as far as binders see them. vas->change is held. */
#ifndef VAS_LIB_FREEZE_H
#define VAS_LIB_FREEZE_H

#include "lib/handle/handle.h"

/* No new section writes, and holders of pins are asked: who waits for them, does that next. */
void vas_writers_freeze(struct vas *vas);
void vas_writers_thaw(struct vas *vas);

#endif
