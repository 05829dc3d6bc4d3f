/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A split virtqueue of virtio 1.x in guest memory, seen from the device, by one who trusts nothing
 * in it: the driver may write anything at any time, also while it is read here.
 *
 *	peek	the next chain, checked		may be repeated; changes nothing that the guest sees
 *	take	it is being served		and further ones may be looked at
 *	give	it was served			in any order
 *	then, for all that were given at once: does the driver want an interrupt?
 *	and, with nothing left to peek at: ask for a kick, and look once more
 *
 * Each field is fetched once, and what was fetched is checked and used. A call looks at no more
 * than `size` descriptors and one table of `tables.max`. No more chains than `size` are between
 * take and give. An error of the driver's is -EPROTO: the queue makes no sense any more and needs a
 * reset, but may be called on.
 *
 * One thread at a time calls. The three parts are mapped for as long as a call lasts, and marking
 * the used part dirty is its user's.
 */
#ifndef VAS_CORE_VIRTQUEUE_SPLIT_H
#define VAS_CORE_VIRTQUEUE_SPLIT_H

#include "core/range.h"
#include "core/virtqueue/chain.h"

#define VAS_VIRTQ_NO_INTERRUPT 1u /* in the available ring's flags */
#define VAS_VIRTQ_NO_KICK      1u /* in the used ring's */

struct vas_virtq_desc {
	uint64_t gpa;
	uint32_t len;
	uint16_t flags;
	uint16_t next; /* with VAS_VIRTQ_DESC_NEXT */
};

/* The driver's. After entry `size` - 1 comes used_event: tell of this answer, not before. */
struct vas_virtq_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[]; /* heads of chains */
};

struct vas_virtq_used_elem {
	uint32_t head;
	uint32_t len; /* bytes written */
};

/* The device's. After entry `size` - 1 comes avail_event: kick for this chain, not before. */
struct vas_virtq_used {
	uint16_t flags;
	uint16_t idx;
	struct vas_virtq_used_elem ring[];
};

enum vas_split_part { VAS_SPLIT_DESC, VAS_SPLIT_AVAIL, VAS_SPLIT_USED, VAS_SPLIT_NR_PARTS };

struct vas_split_queue {
	/* The parts, aligned as they must be. They may change between calls. */
	const struct vas_virtq_desc *desc;
	const struct vas_virtq_avail *avail;
	struct vas_virtq_used *used;

	uint32_t size; /* entries; vas_split_size_is_valid() */
	uint32_t flags;
	struct vas_virtq_tables tables;

	/*
	 * Where it stands. A queue that starts has the same value in both; if the two differ, that
	 * many chains were taken and are to be given first.
	 */
	uint16_t next_avail;
	uint16_t next_used;

	/* next_used when the driver was last interrupted, if that is known; false at a start. */
	uint16_t signalled;
	bool signalled_is_valid;
};

static inline bool vas_split_size_is_valid(uint32_t size)
{
	return size <= VAS_VIRTQ_MAX_SIZE && vas_is_power_of_two(size);
}

/* Of a part in guest memory; with the event word, which it has room for in any case. */
uint64_t vas_split_part_size(enum vas_split_part part, uint32_t size);
uint64_t vas_split_part_align(enum vas_split_part part);

/*
 * The next chain. 1: there is one; 0: none; -EPROTO: the driver's error; or an error of
 * ->tables.read(). The chain's room is its user's.
 */
int vas_split_queue_peek(struct vas_split_queue *queue, struct vas_virtq_chain *chain);

/*
 * The same for as many chains as there are, have room, and make sense; an error is the first one's.
 */
int vas_split_queue_peek_burst(struct vas_split_queue *queue, struct vas_virtq_burst *burst);

/*
 * The chain with this head, as peek yields it: one that somebody had taken who died before its
 * answer. That it was is its user's to know.
 */
int vas_split_queue_chain_at(struct vas_split_queue *queue, uint16_t head,
			     struct vas_virtq_chain *chain);

/* After a peek that has returned 1; after one of a burst, the first nr of that or what is left. */
void vas_split_queue_take(struct vas_split_queue *queue);
void vas_split_queue_take_burst(struct vas_split_queue *queue, uint32_t nr);

/*
 * Answer chains that were taken, in any order, at least one. The driver sees none of the answers or
 * all of them.
 */
void vas_split_queue_give(struct vas_split_queue *queue, const struct vas_virtq_answer *answers,
			  uint32_t nr);

/*
 * With VIRTIO_F_IN_ORDER: the same by one answer, the last. They are in the order in which they
 * were taken, and the next to be given. For chains without in segments only: drivers differ in
 * which len they take the others to have.
 */
void vas_split_queue_give_in_order(struct vas_split_queue *queue,
				   const struct vas_virtq_answer *answers, uint32_t nr);

/* After one give or more: the driver wants an interrupt. Rather once too often than never. */
bool vas_split_queue_wants_interrupt(struct vas_split_queue *queue);

/*
 * No kicks are of use for now: a hint. With VAS_VIRTQ_EVENT_IDX there is nothing to be said, since
 * the one that was asked for has come, or may still come once.
 */
void vas_split_queue_disable_kick(struct vas_split_queue *queue);

/* Have the driver kick for the next chain. True: there is one already, and maybe no kick. */
bool vas_split_queue_enable_kick(struct vas_split_queue *queue);

#endif
