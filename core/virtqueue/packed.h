/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A packed virtqueue of virtio 1.x in guest memory, seen from the device: as core/virtqueue/split.h
 * for a split one, with the same steps and the same promises.
 *
 * There is one ring. The driver makes descriptors available in its order; the device writes
 * answers over them, from the first on, in its own: an answer says which chain it is for, and the
 * next one has its place as many descriptors further as that chain had. Two flags of a descriptor
 * tell whose it is, and they change their meaning each time that the ring wraps:
 *
 *	wrap counter	AVAIL USED: available	used
 *	1		1     0			1 1
 *	0		0     1			0 0
 */
#ifndef VAS_CORE_VIRTQUEUE_PACKED_H
#define VAS_CORE_VIRTQUEUE_PACKED_H

#include "core/virtqueue/chain.h"

#define VAS_PACKED_DESC_AVAIL (1u << 7)
#define VAS_PACKED_DESC_USED  (1u << 15)

struct vas_packed_desc {
	uint64_t gpa;
	uint32_t len; /* used: bytes written */
	uint16_t id;  /* of the chain, in its last descriptor */
	uint16_t flags;
};

/* An event structure's flags. */
#define VAS_PACKED_EVENT_ENABLE	 0u
#define VAS_PACKED_EVENT_DISABLE 1u
#define VAS_PACKED_EVENT_DESC	 2u /* at `position`, not before; with VAS_VIRTQ_EVENT_IDX */

struct vas_packed_event {
	uint16_t position;
	uint16_t flags;
};

/* A position: a descriptor's index, and its wrap counter in the highest bit. */
#define VAS_PACKED_WRAP 0x8000u

/* Where a queue that nobody has served yet stands: vas_packed_queue_start(). */
#define VAS_PACKED_BASE 0x80008000u

/* In guest memory: the ring, and the event structures that the driver and the device write. */
enum vas_packed_part {
	VAS_PACKED_DESC,
	VAS_PACKED_DRIVER,
	VAS_PACKED_DEVICE,
	VAS_PACKED_NR_PARTS,
};

struct vas_packed_queue {
	/* The parts, aligned as they must be. They may change between calls. */
	struct vas_packed_desc *desc;
	const struct vas_packed_event *driver; /* interrupt me */
	struct vas_packed_event *device;       /* kick me */

	uint32_t size; /* descriptors; vas_packed_size_is_valid() */
	uint32_t flags;
	struct vas_virtq_tables tables;

	/* The rest is vas_packed_queue_start()'s, and not to be written by others. */
	uint16_t next_avail; /* positions */
	uint16_t next_used;
	uint32_t nr_taken; /* descriptors between the two */
	/* Descriptors answered since the last question for an interrupt, up to 2 * size or more. */
	uint32_t nr_unsignalled;
};

/* Any up to 32768. */
static inline bool vas_packed_size_is_valid(uint32_t size)
{
	return size && size <= VAS_VIRTQ_MAX_SIZE;
}

/* Of a part in guest memory. */
uint64_t vas_packed_part_size(enum vas_packed_part part, uint32_t size);
uint64_t vas_packed_part_align(enum vas_packed_part part);

/*
 * Before the first call of those below: where the queue stands, VAS_PACKED_BASE or what
 * vas_packed_queue_base() has said. If its two positions differ, what is between them was taken and
 * is to be given first. -EINVAL: no queue of this size can stand there.
 */
int vas_packed_queue_start(struct vas_packed_queue *queue, uint32_t base);

/* next_avail, and next_used in the upper half: as vhost-user encodes a packed queue's base. */
uint32_t vas_packed_queue_base(const struct vas_packed_queue *queue);

/*
 * The next chain. 1: there is one; 0: none; -EPROTO: the driver's error; or an error of
 * ->tables.read(). The chain's room is its user's.
 */
int vas_packed_queue_peek(struct vas_packed_queue *queue, struct vas_virtq_chain *chain);

/*
 * The same for as many chains as there are, have room, and make sense; an error is the first one's.
 */
int vas_packed_queue_peek_burst(struct vas_packed_queue *queue, struct vas_virtq_burst *burst);

/*
 * The chain of these descriptors, as peek yields it: of one that somebody had taken who died before
 * its answer, and copied before. They are private, and at least one.
 */
int vas_packed_queue_chain_of(struct vas_packed_queue *queue, const struct vas_packed_desc *descs,
			      uint32_t nr, struct vas_virtq_chain *chain);

/* The chain that the last peek has yielded; the first nr of a burst, or of what is left of it. */
void vas_packed_queue_take(struct vas_packed_queue *queue, const struct vas_virtq_chain *chain);
void vas_packed_queue_take_burst(struct vas_packed_queue *queue,
				 const struct vas_virtq_chain *chains, uint32_t nr);

/*
 * Answer chains that were taken, in any order, at least one. The driver sees none of the answers or
 * all of them.
 */
void vas_packed_queue_give(struct vas_packed_queue *queue, const struct vas_virtq_answer *answers,
			   uint32_t nr);

/*
 * With VIRTIO_F_IN_ORDER: the same by one answer, the last. They are in the order in which they
 * were taken, and the next to be given. For chains without in segments only: drivers differ in
 * which len they take the others to have.
 */
void vas_packed_queue_give_in_order(struct vas_packed_queue *queue,
				    const struct vas_virtq_answer *answers, uint32_t nr);

/* After one give or more: the driver wants an interrupt. Rather once too often than never. */
bool vas_packed_queue_wants_interrupt(struct vas_packed_queue *queue);

/* No kicks are of use for now: a hint. */
void vas_packed_queue_disable_kick(struct vas_packed_queue *queue);

/* Have the driver kick for the next chain. True: there is one already, and maybe no kick. */
bool vas_packed_queue_enable_kick(struct vas_packed_queue *queue);

#endif
