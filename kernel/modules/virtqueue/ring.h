/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A virtqueue in the memory of a guest, mapped while it may be. */
#ifndef VAS_VIRTQUEUE_RING_H
#define VAS_VIRTQUEUE_RING_H

#include <linux/types.h>

#include <linux/vas.h>

#include "core/virtqueue/virtq.h"

/* A chain's descriptors, the ring's own or those of an indirect table. */
#define VAS_RING_MAX_SEGMENTS 1024

/* Parts of a ring of either format, in the order of enum vas_split_part and vas_packed_part. */
#define VAS_RING_NR_PARTS 3

/**
 * struct vas_ring - a queue and its parts
 * @vas: the guest's memory
 * @gpa: of each part; behind an IOMMU, where it is now
 * @maps: of each part; NULL while they are requested back
 * @no_sleep: whoever uses it now may not sleep
 * @queue: what is in them; its parts are NULL while @maps are
 */
struct vas_ring {
	struct vas *vas;
	u64 gpa[VAS_RING_NR_PARTS];
	struct vas_mapping *maps[VAS_RING_NR_PARTS];
	bool no_sleep;
	struct vas_virtq queue;
};

/* For tables of descriptors: as struct vas_virtq_tables has it. */
typedef int vas_ring_reader(void *user, uint64_t gpa, void *to, uint32_t len);

int vas_ring_init(struct vas_ring *ring, u32 size, u32 flags, u32 base);
void vas_ring_clean(struct vas_ring *ring);
u32 vas_ring_base(const struct vas_ring *ring);
int vas_ring_map(struct vas_ring *ring);
void vas_ring_unmap(struct vas_ring *ring);
bool vas_ring_is_aligned(const struct vas_ring *ring);
u64 vas_ring_part_size(const struct vas_ring *ring, int part);
bool vas_ring_part_is_written(const struct vas_ring *ring, int part);
int vas_ring_read(const struct vas_ring *ring, u64 gpa, void *to, u32 len);
void vas_ring_set_reader(struct vas_ring *ring, vas_ring_reader *read, void *user);
bool vas_ring_has(const struct vas_ring *ring, const struct vas_mapping *mapping);

#endif
