/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The layout of a vas as streams and snapshots have it. */
#ifndef MIGRATE_LAYOUT_H
#define MIGRATE_LAYOUT_H

#include <stddef.h>
#include <vas/vas.h>

#include "migrate/stream/stream.h"

/* Copy the regions (malloced). -ESTALE: they changed meanwhile. */
int layout_take(struct vas *vas, struct vas_region **regions, size_t *nr);

/*
 * struct stream_layout and the entries behind it, malloced. -EOPNOTSUPP: a region is local memory
 * of this process; -EIO: one's file was cut.
 */
int layout_describe(struct vas *vas, const struct vas_region *regions, size_t nr,
		    struct stream_layout **layout);

static inline size_t layout_size(const struct stream_layout *layout)
{
	return sizeof(*layout) + (size_t)layout->nr_regions * sizeof(struct vas_region_entry);
}

#endif
