// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The guest may change the ring at any time, and what it says may be nonsense: each field is read
 * once into memory of our own, checked there, and no loop is longer than the ring.
 */
#include "ring.h"

#include <linux/mm.h>
#include <linux/slab.h>

static u64 part_len(const struct ring *ring, int part)
{
	/* With the word of EVENT_IDX, which the parts always have room for. */
	switch (part) {
	case RING_DESC:
		return sizeof(struct vring_desc) * ring->size;
	case RING_AVAIL:
		return sizeof(struct vring_avail) + sizeof(__virtio16) * (ring->size + 1);
	default:
		return sizeof(struct vring_used) + sizeof(struct vring_used_elem) * ring->size +
		       sizeof(__virtio16);
	}
}

int ring_init(struct ring *ring)
{
	static const u64 align[] = { VRING_DESC_ALIGN_SIZE, VRING_AVAIL_ALIGN_SIZE,
				     VRING_USED_ALIGN_SIZE };
	int part;

	for (part = RING_DESC; part <= RING_USED; part++)
		if (ring->gpa[part] % align[part])
			return -EINVAL;
	ring->table = kvmalloc_array(RING_MAX_SEGMENTS, sizeof(*ring->table),
				     GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	return ring->table ? 0 : -ENOMEM;
}

void ring_clean(struct ring *ring)
{
	ring_unmap(ring);
	kvfree(ring->table);
}

void ring_unmap(struct ring *ring)
{
	int part;

	for (part = RING_DESC; part <= RING_USED; part++) {
		vas_mapping_destroy(ring->maps[part]);
		ring->maps[part] = NULL;
	}
	ring->desc = NULL;
}

/* Get at the parts, unless we do already: 0, or as vas_mapping_create(). */
int ring_map(struct ring *ring)
{
	int part, err;

	if (ring->desc)
		return 0;
	for (part = RING_DESC; part <= RING_USED; part++) {
		err = vas_mapping_create(ring->vas, ring->gpa[part], part_len(ring, part),
					 part == RING_USED ? VAS_MAPPING_WRITE : 0,
					 &ring->maps[part]);
		if (err) {
			ring_unmap(ring);
			return err;
		}
	}
	ring->desc = vas_mapping_addr(ring->maps[RING_DESC]);
	ring->avail = vas_mapping_addr(ring->maps[RING_AVAIL]);
	ring->used = vas_mapping_addr(ring->maps[RING_USED]);
	return 0;
}

bool ring_has(const struct ring *ring, const struct vas_mapping *mapping)
{
	return mapping == ring->maps[RING_DESC] || mapping == ring->maps[RING_AVAIL] ||
	       mapping == ring->maps[RING_USED];
}

static struct vring_desc fetch(const struct vring_desc *shared)
{
	return (struct vring_desc){
		.addr = READ_ONCE(shared->addr),
		.len = READ_ONCE(shared->len),
		.flags = READ_ONCE(shared->flags),
		.next = READ_ONCE(shared->next),
	};
}

/* Out segments come first, and no chain is longer than there are descriptors: -EPROTO. */
static int add_segment(struct chain *chain, const struct vring_desc *desc)
{
	u32 nr = chain->nr_out + chain->nr_in;
	bool in = desc->flags & VRING_DESC_F_WRITE;

	if (nr == RING_MAX_SEGMENTS || (!in && chain->nr_in))
		return -EPROTO;
	chain->segments[nr] = (struct segment){ .gpa = desc->addr, .len = desc->len };
	if (in)
		chain->nr_in++;
	else
		chain->nr_out++;
	return 0;
}

/* The table is copied whole, then walked: what the guest does to it meanwhile is its own affair. */
static int walk_table(struct ring *ring, const struct vring_desc *outer, struct chain *chain)
{
	u32 nr = outer->len / sizeof(*ring->table), at = 0, seen;
	int err;

	if (!ring->indirect || outer->flags & (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE) || !nr ||
	    nr > RING_MAX_SEGMENTS || outer->len % sizeof(*ring->table))
		return -EPROTO;
	err = vas_copy_from(ring->vas, outer->addr, ring->table, outer->len, NULL);
	if (err)
		return err == -EFAULT ? -EPROTO : err;
	for (seen = 0; seen < nr; seen++) {
		const struct vring_desc *desc = &ring->table[at];

		if (desc->flags & VRING_DESC_F_INDIRECT || add_segment(chain, desc))
			return -EPROTO;
		if (!(desc->flags & VRING_DESC_F_NEXT))
			return 0;
		at = desc->next;
		if (at >= nr)
			return -EPROTO;
	}
	return -EPROTO; /* it goes round and round */
}

static int walk(struct ring *ring, struct chain *chain)
{
	u32 at = chain->head, seen;

	for (seen = 0; seen < ring->size; seen++) {
		struct vring_desc desc = fetch(&ring->desc[at]);

		if (desc.flags & VRING_DESC_F_INDIRECT)
			return seen ? -EPROTO : walk_table(ring, &desc, chain);
		if (add_segment(chain, &desc))
			return -EPROTO;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 0;
		at = desc.next;
		if (at >= ring->size)
			return -EPROTO;
	}
	return -EPROTO;
}

/*
 * The next request, without taking it off the ring: that is ring_give()'s. 1: there is one; 0:
 * none; -EPROTO: the ring makes no sense; or as vas_copy_from().
 */
int ring_take(struct ring *ring, struct chain *chain)
{
	/* The index first, then what it covers: pairs with the driver's barrier before it adds. */
	u16 pending = smp_load_acquire(&ring->avail->idx) - ring->next_avail;
	u16 head;
	int err;

	if (!pending)
		return 0;
	if (pending > ring->size)
		return -EPROTO;
	head = READ_ONCE(ring->avail->ring[ring->next_avail & (ring->size - 1)]);
	if (head >= ring->size)
		return -EPROTO;
	chain->head = head;
	chain->nr_out = 0;
	chain->nr_in = 0;
	err = walk(ring, chain);
	return err ? err : 1;
}

/* Answer a request that was taken: `written` bytes of its in segments were. */
void ring_give(struct ring *ring, const struct chain *chain, u32 written)
{
	struct vring_used_elem *elem = &ring->used->ring[ring->next_used & (ring->size - 1)];

	WRITE_ONCE(elem->id, chain->head);
	WRITE_ONCE(elem->len, written);
	ring->next_used++;
	ring->next_avail++;
	/* The answer is there before the index says so: pairs with the driver's read barrier. */
	smp_store_release(&ring->used->idx, ring->next_used);
}

/* After some ring_give(): the guest wants to be notified. */
bool ring_wants_interrupt(struct ring *ring)
{
	u16 old = ring->signalled, event;

	/*
	 * The index before what the driver wrote before it looked at it: pairs with its full
	 * barrier.
	 */
	smp_mb();
	if (!ring->event_idx)
		return !(READ_ONCE(ring->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	event = READ_ONCE(ring->avail->ring[ring->size]);
	ring->signalled = ring->next_used;
	return vring_need_event(event, ring->next_used, old);
}

/* Nothing to take, and the guest knows that it has to kick for what comes next. */
bool ring_is_empty(struct ring *ring)
{
	if (ring->event_idx)
		WRITE_ONCE(*(__virtio16 *)&ring->used->ring[ring->size], ring->next_avail);
	/* The request for a kick before the last look: pairs with the driver's full barrier. */
	smp_mb();
	return READ_ONCE(ring->avail->idx) == ring->next_avail;
}
