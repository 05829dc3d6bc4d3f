/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The dirty log between its users: who switches it on. docs/design/dirty.md. */
#ifndef VAS_LIB_TRACKING_H
#define VAS_LIB_TRACKING_H

#include <vas/dirty.h>

#include "lib/handle/log.h"

/* The owner: tracking on if any living tracker is in use, else off. vas->change is held. */
int vas_tracking_update(struct vas *vas);

/*
 * The owner, before each epoch: who died in a section, or with a writable map, has written what it
 * did not mark. Then the log is incomplete.
 */
void vas_tracking_reap(struct vas *vas);

/* The owner: what trackers of other processes have asked for, or, killed, can no longer ask for. */
void vas_tracking_serve(struct vas *vas);

/* Have tracking_update and consumers_harvest done: by oneself, or by the owner. */
int vas_tracking_ask(struct vas *vas);

#endif
