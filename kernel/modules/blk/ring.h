/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A split virtqueue in the memory of a guest, mapped while it may be. */
#ifndef VAS_BLK_RING_H
#define VAS_BLK_RING_H

#include <linux/types.h>

#include <linux/vas.h>

#include "core/virtqueue/split.h"

/* A chain's descriptors, the ring's own or those of an indirect table. */
#define RING_MAX_SEGMENTS 1024

/**
 * struct ring - a queue and its three parts
 * @vas: the guest's memory
 * @gpa: of each part
 * @maps: of each part; NULL while they are requested back
 * @queue: what is in them; its parts are NULL while @maps are
 */
struct ring {
	struct vas *vas;
	u64 gpa[VAS_SPLIT_NR_PARTS];
	struct vas_mapping *maps[VAS_SPLIT_NR_PARTS];
	struct vas_split_queue queue;
};

int ring_init(struct ring *ring);
void ring_clean(struct ring *ring);
int ring_map(struct ring *ring);
void ring_unmap(struct ring *ring);
bool ring_has(const struct ring *ring, const struct vas_mapping *mapping);

#endif
