// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The device's side of a split virtqueue.
 *
 * Order, with the driver, which may be on another processor:
 *
 *	device							driver
 *	peek: load avail->idx (acquire), then what it covers	entries, then (release) avail->idx
 *	give: data, entry, then (release) used->idx		used->idx, then (acquire) the entry
 *	used->idx, FULL, load used_event or flags		used_event, FULL, load used->idx
 *	avail_event, FULL, load avail->idx			avail->idx, FULL, load avail_event
 *
 * In the last two each side stores, then looks at what the other stores: without a full barrier on
 * both sides neither may see the other, and both would sleep.
 */
#include "core/virtqueue/split.h"
#include "core/virtqueue/walk.h"

uint64_t vas_split_part_size(enum vas_split_part part, uint32_t size)
{
	switch (part) {
	case VAS_SPLIT_DESC:
		return sizeof(struct vas_virtq_desc) * size;
	case VAS_SPLIT_AVAIL:
		return sizeof(struct vas_virtq_avail) + sizeof(uint16_t) * (size + 1);
	default:
		return sizeof(struct vas_virtq_used) + sizeof(struct vas_virtq_used_elem) * size +
		       sizeof(uint16_t);
	}
}

uint64_t vas_split_part_align(enum vas_split_part part)
{
	static const uint64_t align[VAS_SPLIT_NR_PARTS] = { 16, 2, 4 };

	return align[part];
}

/* Relaxed: the acquire of avail->idx came before. */
static struct vas_virtq_desc fetch(const struct vas_virtq_desc *shared)
{
	return (struct vas_virtq_desc){
		.gpa = __atomic_load_n(&shared->gpa, __ATOMIC_RELAXED),
		.len = __atomic_load_n(&shared->len, __ATOMIC_RELAXED),
		.flags = __atomic_load_n(&shared->flags, __ATOMIC_RELAXED),
		.next = __atomic_load_n(&shared->next, __ATOMIC_RELAXED),
	};
}

static inline int add_segment(struct vas_virtq_chain *chain, const struct vas_virtq_desc *desc)
{
	return vas_virtq_add_segment(chain, desc->gpa, desc->len, desc->flags);
}

/* The table is copied whole, then walked: `nr` of its entries at most, so that no loop lasts. */
static int walk_table(const struct vas_virtq_desc *table, uint32_t nr,
		      struct vas_virtq_chain *chain)
{
	uint32_t at = 0, seen;

	for (seen = 0; seen < nr; seen++) {
		const struct vas_virtq_desc *desc = &table[at];

		if (desc->flags & VAS_VIRTQ_DESC_INDIRECT || add_segment(chain, desc))
			return -EPROTO;
		if (!(desc->flags & VAS_VIRTQ_DESC_NEXT))
			return 0;
		at = desc->next;
		if (at >= nr)
			return -EPROTO;
	}
	return -EPROTO;
}

/* A table ends its chain. Its descriptor's WRITE means nothing, and is ignored as virtio asks. */
static int read_table(struct vas_split_queue *queue, const struct vas_virtq_desc *outer,
		      struct vas_virtq_chain *chain)
{
	int nr;

	if (!(queue->flags & VAS_VIRTQ_INDIRECT) || outer->flags & VAS_VIRTQ_DESC_NEXT)
		return -EPROTO;
	nr = vas_virtq_read_table(&queue->tables, outer->gpa, outer->len);
	return nr < 0 ? nr : walk_table(queue->tables.room, (uint32_t)nr, chain);
}

static int walk(struct vas_split_queue *queue, struct vas_virtq_chain *chain)
{
	uint32_t at = chain->head, seen;

	for (seen = 0; seen < queue->size; seen++) {
		struct vas_virtq_desc desc = fetch(&queue->desc[at]);

		if (desc.flags & VAS_VIRTQ_DESC_INDIRECT)
			return read_table(queue, &desc, chain);
		if (add_segment(chain, &desc))
			return -EPROTO;
		if (!(desc.flags & VAS_VIRTQ_DESC_NEXT))
			return 0;
		at = desc.next;
		if (at >= queue->size)
			return -EPROTO;
	}
	return -EPROTO; /* it goes round and round */
}

int vas_split_queue_chain_at(struct vas_split_queue *queue, uint16_t head,
			     struct vas_virtq_chain *chain)
{
	int err;

	if (head >= queue->size)
		return -EPROTO;
	chain->head = head;
	chain->nr_descs = 1;
	vas_virtq_begin_chain(chain);
	err = walk(queue, chain);
	return err ? err : vas_virtq_end_chain(chain);
}

/* How many chains there are. */
static int count_pending(const struct vas_split_queue *queue)
{
	/* The index first, then what it covers: pairs with the driver's release. */
	uint16_t idx = __atomic_load_n(&queue->avail->idx, __ATOMIC_ACQUIRE);
	uint16_t pending = (uint16_t)(idx - queue->next_avail);
	uint16_t taken = (uint16_t)(queue->next_avail - queue->next_used);

	return pending && (uint32_t)pending + taken > queue->size ? -EPROTO : pending;
}

static uint16_t fetch_head(const struct vas_split_queue *queue, uint16_t at)
{
	return __atomic_load_n(&queue->avail->ring[at & (queue->size - 1)], __ATOMIC_RELAXED);
}

int vas_split_queue_peek(struct vas_split_queue *queue, struct vas_virtq_chain *chain)
{
	int pending = count_pending(queue);

	if (pending <= 0)
		return pending;
	return vas_split_queue_chain_at(queue, fetch_head(queue, queue->next_avail), chain);
}

/* All of their first descriptors are asked for before any is looked at. */
int vas_split_queue_peek_burst(struct vas_split_queue *queue, struct vas_virtq_burst *burst)
{
	int pending = count_pending(queue), i, result;

	vas_virtq_begin_burst(burst);
	if (pending <= 0)
		return pending;
	if ((uint32_t)pending > burst->max_chains)
		pending = (int)burst->max_chains;
	for (i = 0; i < pending; i++) {
		uint16_t head = fetch_head(queue, (uint16_t)(queue->next_avail + i));

		burst->chains[i].head = head;
		__builtin_prefetch(&queue->desc[head & (queue->size - 1)]);
	}
	for (i = 0; i < pending; i++) {
		struct vas_virtq_chain *chain = &burst->chains[i];

		result = vas_split_queue_chain_at(queue, chain->head, chain);
		if (result < 0)
			return i ? i : result;
		if (!vas_virtq_add_to_burst(burst))
			break;
	}
	return (int)burst->nr;
}

void vas_split_queue_take(struct vas_split_queue *queue)
{
	queue->next_avail++;
}

void vas_split_queue_take_burst(struct vas_split_queue *queue, uint32_t nr)
{
	queue->next_avail = (uint16_t)(queue->next_avail + nr);
}

static void write_answer(struct vas_split_queue *queue, uint16_t at,
			 const struct vas_virtq_answer *answer)
{
	struct vas_virtq_used_elem *elem = &queue->used->ring[at & (queue->size - 1)];

	__atomic_store_n(&elem->head, answer->head, __ATOMIC_RELAXED);
	__atomic_store_n(&elem->len, answer->len, __ATOMIC_RELAXED);
}

static void publish(struct vas_split_queue *queue, uint32_t nr)
{
	/* All 65536 indices have gone by since: what is between it and now can't be told. */
	if ((uint16_t)(queue->signalled - queue->next_used - 1) < nr)
		queue->signalled_is_valid = false;
	queue->next_used = (uint16_t)(queue->next_used + nr);
	/* Data and answers first, then the index: pairs with the driver's acquire. */
	__atomic_store_n(&queue->used->idx, queue->next_used, __ATOMIC_RELEASE);
}

void vas_split_queue_give(struct vas_split_queue *queue, const struct vas_virtq_answer *answers,
			  uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		write_answer(queue, (uint16_t)(queue->next_used + i), &answers[i]);
	publish(queue, nr);
}

/* The driver finds the last one's head in the first one's place. */
void vas_split_queue_give_in_order(struct vas_split_queue *queue,
				   const struct vas_virtq_answer *answers, uint32_t nr)
{
	write_answer(queue, queue->next_used, &answers[nr - 1]);
	publish(queue, nr);
}

bool vas_split_queue_wants_interrupt(struct vas_split_queue *queue)
{
	uint16_t old = queue->signalled, new = queue->next_used, event;
	bool is_valid = queue->signalled_is_valid;

	/* The index before what the driver wrote before it looked at that: its full barrier. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(queue->flags & VAS_VIRTQ_EVENT_IDX))
		return !(__atomic_load_n(&queue->avail->flags, __ATOMIC_RELAXED) &
			 VAS_VIRTQ_NO_INTERRUPT);
	event = __atomic_load_n(&queue->avail->ring[queue->size], __ATOMIC_RELAXED);
	queue->signalled = new;
	queue->signalled_is_valid = true;
	/* It is one of those from old up to, not including, new. */
	return !is_valid || (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

void vas_split_queue_disable_kick(struct vas_split_queue *queue)
{
	if (!(queue->flags & VAS_VIRTQ_EVENT_IDX))
		__atomic_store_n(&queue->used->flags, VAS_VIRTQ_NO_KICK, __ATOMIC_RELAXED);
}

bool vas_split_queue_enable_kick(struct vas_split_queue *queue)
{
	uint16_t *avail_event = (uint16_t *)&queue->used->ring[queue->size];

	if (queue->flags & VAS_VIRTQ_EVENT_IDX)
		__atomic_store_n(avail_event, queue->next_avail, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&queue->used->flags, 0, __ATOMIC_RELAXED);
	/* The request before the last look: pairs with the driver's full barrier. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&queue->avail->idx, __ATOMIC_RELAXED) != queue->next_avail;
}
