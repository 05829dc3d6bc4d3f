// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The device's side of a packed virtqueue.
 *
 * Order, with the driver, which may be on another processor. `first` is the flags of the first
 * descriptor of a chain, or of what is given at once; all others may be stored in any order before:
 *
 *	device							driver
 *	peek: load first (acquire), then the rest		rest, then (release) first
 *	give: data, answers, then (release) first		load first (acquire), then the rest
 *	first, FULL, load the driver's event			its event, FULL, load first
 *	device's event, FULL, load first			first, FULL, load the device's event
 *
 * In the last two each side stores, then looks at what the other stores: without a full barrier on
 * both sides neither may see the other, and both would sleep.
 *
 * An answer is written over descriptors that were read. The release orders those loads before it,
 * too: nothing is read any more of what the driver may write again once it sees the answer. So do
 * the answers behind the first: before they are stored the driver owns nothing of their places, and
 * it looks at none of them before it has seen the first.
 *
 * Of an event structure the position is stored before (release) the flags that make it count, and
 * loaded after (acquire) them. New positions with old flags do no harm: the one who stores them
 * looks at the ring once more.
 */
#include "core/virtqueue/packed.h"
#include "core/virtqueue/walk.h"

#define OWNER (VAS_PACKED_DESC_AVAIL | VAS_PACKED_DESC_USED)

uint64_t vas_packed_part_size(enum vas_packed_part part, uint32_t size)
{
	return part == VAS_PACKED_DESC ? sizeof(struct vas_packed_desc) * size :
					 sizeof(struct vas_packed_event);
}

uint64_t vas_packed_part_align(enum vas_packed_part part)
{
	return part == VAS_PACKED_DESC ? 16 : 4;
}

static uint32_t index_of(uint16_t position)
{
	return position & (VAS_PACKED_WRAP - 1);
}

/* nr is at most the size. */
static uint16_t advance(uint16_t position, uint32_t nr, uint32_t size)
{
	uint32_t index = index_of(position) + nr, wrap = position & VAS_PACKED_WRAP;

	if (index >= size) {
		index -= size;
		wrap ^= VAS_PACKED_WRAP;
	}
	return (uint16_t)(index | wrap);
}

/* From one position to another: a position comes again after two rounds. */
static uint32_t distance(uint16_t from, uint16_t to, uint32_t size)
{
	uint32_t at = index_of(to) + 2 * size - index_of(from);

	if ((from ^ to) & VAS_PACKED_WRAP)
		at += size;
	return at < 2 * size ? at : at - 2 * size;
}

static bool is_available(uint16_t flags, uint16_t position)
{
	return (flags & OWNER) ==
	       (position & VAS_PACKED_WRAP ? VAS_PACKED_DESC_AVAIL : VAS_PACKED_DESC_USED);
}

int vas_packed_queue_start(struct vas_packed_queue *queue, uint32_t base)
{
	uint16_t avail = (uint16_t)base, used = (uint16_t)(base >> 16);
	uint32_t nr;

	if (!vas_packed_size_is_valid(queue->size) || index_of(avail) >= queue->size ||
	    index_of(used) >= queue->size)
		return -EINVAL;
	nr = distance(used, avail, queue->size);
	if (nr > queue->size)
		return -EINVAL;
	queue->next_avail = avail;
	queue->next_used = used;
	queue->nr_taken = nr;
	/* Whoever served before may have died before its interrupt: as if all had been answered. */
	queue->nr_unsignalled = 2 * queue->size;
	return 0;
}

uint32_t vas_packed_queue_base(const struct vas_packed_queue *queue)
{
	return queue->next_avail | (uint32_t)queue->next_used << 16;
}

/* Its descriptors are as many as it is long. Of their flags all but WRITE are reserved. */
static int walk_table(const struct vas_packed_desc *table, uint32_t nr,
		      struct vas_virtq_chain *chain)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		if (table[i].flags & VAS_VIRTQ_DESC_INDIRECT ||
		    vas_virtq_add_segment(chain, table[i].gpa, table[i].len, table[i].flags))
			return -EPROTO;
	return 0;
}

/* A table is all of its chain. Its descriptor's WRITE means nothing, and is ignored. */
static int read_table(struct vas_packed_queue *queue, const struct vas_packed_desc *outer,
		      struct vas_virtq_chain *chain)
{
	int nr;

	if (!(queue->flags & VAS_VIRTQ_INDIRECT) || outer->flags & VAS_VIRTQ_DESC_NEXT)
		return -EPROTO;
	nr = vas_virtq_read_table(&queue->tables, outer->gpa, outer->len);
	return nr < 0 ? nr : walk_table(queue->tables.room, (uint32_t)nr, chain);
}

/* Relaxed: the acquire of the first one's flags came before. */
static struct vas_packed_desc fetch(const struct vas_packed_desc *shared, uint16_t flags)
{
	return (struct vas_packed_desc){
		.gpa = __atomic_load_n(&shared->gpa, __ATOMIC_RELAXED),
		.len = __atomic_load_n(&shared->len, __ATOMIC_RELAXED),
		.id = __atomic_load_n(&shared->id, __ATOMIC_RELAXED),
		.flags = flags,
	};
}

/*
 * From a position on, behind which `taken` descriptors are, with the flags of the first. Whether
 * those behind it are available is not looked at: a driver makes the first one available last, and
 * one that doesn't gets what it wrote.
 */
static int walk(struct vas_packed_queue *queue, uint16_t position, uint32_t taken,
		struct vas_virtq_chain *chain, uint16_t flags)
{
	uint32_t at = index_of(position), room = queue->size - taken, nr;

	for (nr = 1; nr <= room; nr++) {
		struct vas_packed_desc desc = fetch(&queue->desc[at], flags);

		chain->head = desc.id;
		chain->nr_descs = (uint16_t)nr;
		if (flags & VAS_VIRTQ_DESC_INDIRECT)
			return nr > 1 ? -EPROTO : read_table(queue, &desc, chain);
		if (vas_virtq_add_segment(chain, desc.gpa, desc.len, flags))
			return -EPROTO;
		if (!(flags & VAS_VIRTQ_DESC_NEXT))
			return 0;
		if (++at == queue->size)
			at = 0;
		flags = __atomic_load_n(&queue->desc[at].flags, __ATOMIC_RELAXED);
	}
	return -EPROTO; /* it would take up more than there is: the ring, less what was taken */
}

static int peek_at(struct vas_packed_queue *queue, uint16_t position, uint32_t taken,
		   struct vas_virtq_chain *chain)
{
	/* The first one's flags, then all else of the chain: pairs with the driver's release. */
	uint16_t flags = __atomic_load_n(&queue->desc[index_of(position)].flags, __ATOMIC_ACQUIRE);
	int err;

	if (!is_available(flags, position))
		return 0;
	vas_virtq_begin_chain(chain);
	err = walk(queue, position, taken, chain, flags);
	if (err)
		return err;
	if (chain->head >= queue->size)
		return -EPROTO;
	return vas_virtq_end_chain(chain);
}

static int walk_descs(struct vas_packed_queue *queue, const struct vas_packed_desc *descs,
		      uint32_t nr, struct vas_virtq_chain *chain)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		if (descs[i].flags & VAS_VIRTQ_DESC_INDIRECT)
			return nr > 1 ? -EPROTO : read_table(queue, &descs[i], chain);
		if (vas_virtq_add_segment(chain, descs[i].gpa, descs[i].len, descs[i].flags))
			return -EPROTO;
	}
	return 0;
}

int vas_packed_queue_chain_of(struct vas_packed_queue *queue, const struct vas_packed_desc *descs,
			      uint32_t nr, struct vas_virtq_chain *chain)
{
	int err;

	vas_virtq_begin_chain(chain);
	chain->head = descs[nr - 1].id;
	chain->nr_descs = (uint16_t)nr;
	err = chain->head < queue->size ? walk_descs(queue, descs, nr, chain) : -EPROTO;
	return err ? err : vas_virtq_end_chain(chain);
}

int vas_packed_queue_peek(struct vas_packed_queue *queue, struct vas_virtq_chain *chain)
{
	return peek_at(queue, queue->next_avail, queue->nr_taken, chain);
}

int vas_packed_queue_peek_burst(struct vas_packed_queue *queue, struct vas_virtq_burst *burst)
{
	uint16_t position = queue->next_avail;
	uint32_t taken = queue->nr_taken;
	int result;

	vas_virtq_begin_burst(burst);
	/* With all descriptors taken, the next one is a chain's that was taken. */
	while (taken < queue->size) {
		struct vas_virtq_chain *chain = &burst->chains[burst->nr];

		result = peek_at(queue, position, taken, chain);
		if (result < 0 && !burst->nr)
			return result;
		if (result <= 0)
			break;
		position = advance(position, chain->nr_descs, queue->size);
		taken += chain->nr_descs;
		if (!vas_virtq_add_to_burst(burst))
			break;
	}
	return (int)burst->nr;
}

void vas_packed_queue_take(struct vas_packed_queue *queue, const struct vas_virtq_chain *chain)
{
	queue->next_avail = advance(queue->next_avail, chain->nr_descs, queue->size);
	queue->nr_taken += chain->nr_descs;
}

void vas_packed_queue_take_burst(struct vas_packed_queue *queue,
				 const struct vas_virtq_chain *chains, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		vas_packed_queue_take(queue, &chains[i]);
}

static uint16_t used_flags(uint16_t position, uint32_t len)
{
	return (uint16_t)((position & VAS_PACKED_WRAP ? OWNER : 0) |
			  (len ? VAS_VIRTQ_DESC_WRITE : 0));
}

/* All of an answer but its flags, which are returned. */
static uint16_t write_answer(struct vas_packed_desc *desc, uint16_t position,
			     const struct vas_virtq_answer *answer)
{
	__atomic_store_n(&desc->id, answer->head, __ATOMIC_RELAXED);
	__atomic_store_n(&desc->len, answer->len, __ATOMIC_RELAXED);
	return used_flags(position, answer->len);
}

/* Account for what was answered, and make it visible by the flags of its first descriptor. */
static void publish(struct vas_packed_queue *queue, uint16_t next, uint32_t nr_descs,
		    uint16_t flags)
{
	struct vas_packed_desc *first = &queue->desc[index_of(queue->next_used)];

	queue->next_used = next;
	queue->nr_taken -= nr_descs;
	if (queue->nr_unsignalled < 2 * queue->size)
		queue->nr_unsignalled += nr_descs;
	/* Data and answers first: pairs with the driver's acquire. */
	__atomic_store_n(&first->flags, flags, __ATOMIC_RELEASE);
}

void vas_packed_queue_give(struct vas_packed_queue *queue, const struct vas_virtq_answer *answers,
			   uint32_t nr)
{
	uint16_t at = queue->next_used, first, flags;
	uint32_t nr_descs = answers[0].nr_descs, i;

	first = write_answer(&queue->desc[index_of(at)], at, &answers[0]);
	at = advance(at, nr_descs, queue->size);
	for (i = 1; i < nr; i++) {
		struct vas_packed_desc *desc = &queue->desc[index_of(at)];

		flags = write_answer(desc, at, &answers[i]);
		__atomic_store_n(&desc->flags, flags, __ATOMIC_RELAXED);
		nr_descs += answers[i].nr_descs;
		at = advance(at, answers[i].nr_descs, queue->size);
	}
	publish(queue, at, nr_descs, first);
}

void vas_packed_queue_give_in_order(struct vas_packed_queue *queue,
				    const struct vas_virtq_answer *answers, uint32_t nr)
{
	uint16_t at = queue->next_used, flags;
	uint32_t nr_descs = 0, i;

	for (i = 0; i < nr; i++)
		nr_descs += answers[i].nr_descs;
	flags = write_answer(&queue->desc[index_of(at)], at, &answers[nr - 1]);
	publish(queue, advance(at, nr_descs, queue->size), nr_descs, flags);
}

/*
 * It is one of those that were answered since the last question. What is no position, and what
 * comes again since so many were answered, is.
 */
static bool has_passed(const struct vas_packed_queue *queue, uint16_t event, uint32_t nr)
{
	if (nr >= 2 * queue->size || index_of(event) >= queue->size)
		return true;
	/* The last descriptor answered is 1 away from the next one, the first one nr. */
	return distance(event, queue->next_used, queue->size) - 1 < nr;
}

bool vas_packed_queue_wants_interrupt(struct vas_packed_queue *queue)
{
	uint32_t nr = queue->nr_unsignalled;
	uint16_t flags, event;

	queue->nr_unsignalled = 0;
	/* The answers before what the driver wrote before it looked at them: its full barrier. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* Flags before the position that they make count: pairs with the driver's release. */
	flags = __atomic_load_n(&queue->driver->flags, __ATOMIC_ACQUIRE);
	if (flags != VAS_PACKED_EVENT_DESC || !(queue->flags & VAS_VIRTQ_EVENT_IDX))
		return flags != VAS_PACKED_EVENT_DISABLE;
	event = __atomic_load_n(&queue->driver->position, __ATOMIC_RELAXED);
	return has_passed(queue, event, nr);
}

void vas_packed_queue_disable_kick(struct vas_packed_queue *queue)
{
	__atomic_store_n(&queue->device->flags, VAS_PACKED_EVENT_DISABLE, __ATOMIC_RELAXED);
}

bool vas_packed_queue_enable_kick(struct vas_packed_queue *queue)
{
	struct vas_packed_event *event = queue->device;
	uint16_t flags = VAS_PACKED_EVENT_ENABLE;

	if (queue->flags & VAS_VIRTQ_EVENT_IDX) {
		__atomic_store_n(&event->position, queue->next_avail, __ATOMIC_RELAXED);
		flags = VAS_PACKED_EVENT_DESC;
	}
	/* The position before the flags: pairs with the driver's acquire. */
	__atomic_store_n(&event->flags, flags, __ATOMIC_RELEASE);
	/* The request before the last look: pairs with the driver's full barrier. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	flags = __atomic_load_n(&queue->desc[index_of(queue->next_avail)].flags, __ATOMIC_RELAXED);
	return is_available(flags, queue->next_avail);
}
