// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "ring.h"

#include <linux/mm.h>
#include <linux/slab.h>

static int read_table(void *vas, uint64_t gpa, void *to, uint32_t len)
{
	return vas_copy_from(vas, gpa, to, len, NULL);
}

/* The caller has filled in @vas, @gpa, and what was agreed on of @queue. */
int ring_init(struct ring *ring)
{
	struct vas_split_queue *queue = &ring->queue;
	int part;

	if (!vas_split_size_is_valid(queue->size))
		return -EINVAL;
	for (part = 0; part < VAS_SPLIT_NR_PARTS; part++)
		if (ring->gpa[part] % vas_split_part_align(part))
			return -EINVAL;
	queue->tables = (struct vas_virtq_tables){
		.read = read_table,
		.user = ring->vas,
		.room = kvmalloc_array(RING_MAX_SEGMENTS, sizeof(struct vas_virtq_desc),
				       GFP_KERNEL_ACCOUNT | __GFP_NOWARN),
		.max = RING_MAX_SEGMENTS,
	};
	return queue->tables.room ? 0 : -ENOMEM;
}

void ring_clean(struct ring *ring)
{
	ring_unmap(ring);
	kvfree(ring->queue.tables.room);
}

void ring_unmap(struct ring *ring)
{
	int part;

	for (part = 0; part < VAS_SPLIT_NR_PARTS; part++) {
		vas_mapping_destroy(ring->maps[part]);
		ring->maps[part] = NULL;
	}
	ring->queue.desc = NULL;
	ring->queue.avail = NULL;
	ring->queue.used = NULL;
}

/* Get at the parts, unless we do already: 0, or as vas_mapping_create(). */
int ring_map(struct ring *ring)
{
	struct vas_split_queue *queue = &ring->queue;
	int part, err;

	if (queue->desc)
		return 0;
	for (part = 0; part < VAS_SPLIT_NR_PARTS; part++) {
		err = vas_mapping_create(
			ring->vas, ring->gpa[part], vas_split_part_size(part, queue->size),
			part == VAS_SPLIT_USED ? VAS_MAPPING_WRITE : 0, &ring->maps[part]);
		if (err)
			goto err_unmap;
	}
	queue->desc = vas_mapping_addr(ring->maps[VAS_SPLIT_DESC]);
	queue->avail = vas_mapping_addr(ring->maps[VAS_SPLIT_AVAIL]);
	queue->used = vas_mapping_addr(ring->maps[VAS_SPLIT_USED]);
	return 0;
err_unmap:
	ring_unmap(ring);
	return err;
}

bool ring_has(const struct ring *ring, const struct vas_mapping *mapping)
{
	return mapping == ring->maps[VAS_SPLIT_DESC] || mapping == ring->maps[VAS_SPLIT_AVAIL] ||
	       mapping == ring->maps[VAS_SPLIT_USED];
}
