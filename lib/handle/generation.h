/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One generation of a vas, as a private copy that has been checked: from the control area, or, for
 * the owner, from its own layout.
 */
#ifndef VAS_LIB_SNAPSHOT_H
#define VAS_LIB_SNAPSHOT_H

#include "lib/handle/proto.h"

/* Regions, shared by the views and snapshots that have the same: counted. */
struct region_set {
	uint32_t refs; /* vas->lock */
	uint32_t nr;
	struct vas_region regions[]; /* sorted by gpa */
};

struct region_set *vas_region_set_new(uint32_t nr);
void vas_region_set_put(struct region_set *set);

struct snapshot {
	struct vas_state state;
	struct region_set *set;
	struct vas_backing_entry backings[VAS_MAX_BACKINGS];
};

/*
 * Take one; `known` (may be NULL) is a region set of `known_generation` that is used again if the
 * regions have not changed since. -EPROTO: damaged; -EAGAIN: it never stood still; -ENOMEM.
 * vas->lock is held.
 */
int vas_snapshot_take(struct vas *vas, struct region_set *known, uint64_t known_generation,
		      struct snapshot *snapshot);

/* Between the public form of a region and the one in the file. */
void vas_region_to_entry(const struct vas_region *region, struct vas_region_entry *entry);
void vas_region_from_entry(const struct vas_region_entry *entry, struct vas_region *region);

#endif
