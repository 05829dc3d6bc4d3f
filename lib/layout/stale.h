/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The memory of the vas's own file that regions come and go with. vas->change is held. */
#ifndef VAS_LIB_STALE_H
#define VAS_LIB_STALE_H

#include "lib/layout/delta.h"
#include "lib/handle/handle.h"

/*
 * VAS_CREATE_RESERVE, or a consumer that pins: allocate what the delta brings; and give it back if
 * the change fails. -ENOMEM; -EBUSY: the deadline passed.
 */
int vas_memory_reserve(struct vas *vas, const struct delta *delta, uint64_t deadline_ns);
void vas_memory_release(struct vas *vas, const struct delta *delta);

/* Allocate the memory of these regions. What is allocated when it fails stays so. */
int vas_memory_populate(struct vas *vas, const struct vas_region *regions, size_t nr,
			uint64_t deadline_ns);

/* These ranges are stale, as far as they are in the file and no region holds them. */
void vas_stale_add(struct vas *vas, const struct vas_region *ranges, size_t nr);

/*
 * A change failed after it was published in `generation`: these ranges were there for a moment, and
 * somebody may have mapped them in it.
 */
void vas_stale_add_failed(struct vas *vas, const struct vas_region *ranges, size_t nr,
			  uint64_t generation);

/*
 * For an adopter, whose vas->own is what was last published: what the dead owner's last change may
 * have left is in the table that is not in use. -ENOMEM.
 */
int vas_stale_inherit(struct vas *vas);

void vas_stale_free(struct stale *stale);

/*
 * Nobody can be using it (P5 is behind us): give it back to the system, P6. What is not given back
 * by the deadline, of very many pieces, is for the next change.
 */
void vas_stale_punch(struct vas *vas, uint64_t deadline_ns);

/* If there is some: wait until nobody uses or maps it, then give it back. */
int vas_stale_settle(struct vas *vas, uint64_t deadline_ns, struct vas_blocker *blocker);

#endif
