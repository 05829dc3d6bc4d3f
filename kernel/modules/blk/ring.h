/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A split virtqueue in guest memory, seen from the device, by one who trusts nothing in it. */
#ifndef VAS_BLK_RING_H
#define VAS_BLK_RING_H

#include <linux/types.h>
#include <linux/virtio_ring.h>

#include <linux/vas.h>

/* A chain's descriptors, the ring's own or those of an indirect table. */
#define RING_MAX_SEGMENTS 1024

/**
 * struct segment - a part of a request's memory
 * @gpa: where
 * @len: how much
 */
struct segment {
	u64 gpa;
	u32 len;
};

/**
 * struct chain - a request as the guest described it, fetched once
 * @head: what to give back
 * @nr_out: segments that the device reads; they come first
 * @nr_in: segments that the device writes
 * @segments: both
 */
struct chain {
	u16 head;
	u32 nr_out;
	u32 nr_in;
	struct segment segments[RING_MAX_SEGMENTS];
};

/**
 * struct ring - a queue's three parts
 * @vas: the guest's memory
 * @size: entries, a power of two
 * @event_idx: VIRTIO_RING_F_EVENT_IDX was negotiated
 * @indirect: VIRTIO_RING_F_INDIRECT_DESC was negotiated
 * @gpa: of each part
 * @maps: of each part; NULL while they are requested back
 * @desc: address in the first, and so on
 * @next_avail: the next request to take
 * @next_used: the next answer to give
 * @signalled: @next_used when the guest was last interrupted
 * @table: an indirect table's private copy
 */
struct ring {
	struct vas *vas;
	u32 size;
	bool event_idx;
	bool indirect;
	u64 gpa[3];
	struct vas_mapping *maps[3];
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u16 next_avail;
	u16 next_used;
	u16 signalled;
	struct vring_desc *table;
};

enum { RING_DESC, RING_AVAIL, RING_USED };

int ring_init(struct ring *ring);
void ring_clean(struct ring *ring);
int ring_map(struct ring *ring);
void ring_unmap(struct ring *ring);
bool ring_has(const struct ring *ring, const struct vas_mapping *mapping);

int ring_take(struct ring *ring, struct chain *chain);
void ring_give(struct ring *ring, const struct chain *chain, u32 written);
bool ring_wants_interrupt(struct ring *ring);
bool ring_is_empty(struct ring *ring);

#endif
