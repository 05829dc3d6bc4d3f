/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The first and the last generation of an owner. */
#ifndef VAS_LIB_ADOPT_H
#define VAS_LIB_ADOPT_H

#include "lib/handle/handle.h"

/* Of a new vas: an empty layout. */
int vas_publish_first(struct vas *vas);

/* Of a vas whose owner is gone: its layout again, as a new generation. */
int vas_publish_adopted(struct vas *vas);

/* An empty layout, without waiting for anyone. */
void vas_publish_last(struct vas *vas);

#endif
