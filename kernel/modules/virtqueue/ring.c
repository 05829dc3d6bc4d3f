// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "ring.h"

#include <linux/mm.h>
#include <linux/slab.h>

static bool is_packed(const struct vas_ring *ring)
{
	return ring->queue.format == VAS_VIRTQ_PACKED;
}

static u32 ring_size(const struct vas_ring *ring)
{
	return is_packed(ring) ? ring->queue.packed.size : ring->queue.split.size;
}

u64 vas_ring_part_size(const struct vas_ring *ring, int part)
{
	return is_packed(ring) ? vas_packed_part_size(part, ring_size(ring)) :
				 vas_split_part_size(part, ring_size(ring));
}

static u64 part_align(const struct vas_ring *ring, int part)
{
	return is_packed(ring) ? vas_packed_part_align(part) : vas_split_part_align(part);
}

bool vas_ring_part_is_written(const struct vas_ring *ring, int part)
{
	return is_packed(ring) ? part != VAS_PACKED_DRIVER : part == VAS_SPLIT_USED;
}

static void set_parts(struct vas_ring *ring, void *const addr[VAS_RING_NR_PARTS])
{
	if (is_packed(ring)) {
		ring->queue.packed.desc = addr[VAS_PACKED_DESC];
		ring->queue.packed.driver = addr[VAS_PACKED_DRIVER];
		ring->queue.packed.device = addr[VAS_PACKED_DEVICE];
	} else {
		ring->queue.split.desc = addr[VAS_SPLIT_DESC];
		ring->queue.split.avail = addr[VAS_SPLIT_AVAIL];
		ring->queue.split.used = addr[VAS_SPLIT_USED];
	}
}

static struct vas_virtq_tables *tables_of(struct vas_ring *ring)
{
	return is_packed(ring) ? &ring->queue.packed.tables : &ring->queue.split.tables;
}

int vas_ring_read(const struct vas_ring *ring, u64 gpa, void *to, u32 len)
{
	return ring->no_sleep ? vas_copy_from_atomic(ring->vas, gpa, to, len, NULL) :
				vas_copy_from(ring->vas, gpa, to, len, NULL);
}

static int read_table(void *user, uint64_t gpa, void *to, uint32_t len)
{
	return vas_ring_read(user, gpa, to, len);
}

void vas_ring_set_reader(struct vas_ring *ring, vas_ring_reader *read, void *user)
{
	tables_of(ring)->read = read;
	tables_of(ring)->user = user;
}

/* A device that has stopped owes no answers. */
static int set_base(struct vas_ring *ring, u32 base)
{
	if (is_packed(ring))
		return (base & U16_MAX) == base >> 16 ?
			       vas_packed_queue_start(&ring->queue.packed, base) :
			       -EINVAL;
	if (base > U16_MAX)
		return -EINVAL;
	ring->queue.split.next_avail = base;
	ring->queue.split.next_used = base;
	return 0;
}

static bool is_size_valid(const struct vas_ring *ring, u32 size)
{
	return is_packed(ring) ? vas_packed_size_is_valid(size) : vas_split_size_is_valid(size);
}

bool vas_ring_is_aligned(const struct vas_ring *ring)
{
	int part;

	for (part = 0; part < VAS_RING_NR_PARTS; part++)
		if (ring->gpa[part] % part_align(ring, part))
			return false;
	return true;
}

/* The caller has filled in @vas, @gpa and the format of @queue. */
int vas_ring_init(struct vas_ring *ring, u32 size, u32 flags, u32 base)
{
	struct vas_virtq_tables tables = {
		.read = read_table,
		.user = ring,
		.max = VAS_RING_MAX_SEGMENTS,
	};
	int err;

	if (!is_size_valid(ring, size) || !vas_ring_is_aligned(ring))
		return -EINVAL;
	if (is_packed(ring))
		ring->queue.packed = (struct vas_packed_queue){ .size = size, .flags = flags };
	else
		ring->queue.split = (struct vas_split_queue){ .size = size, .flags = flags };
	err = set_base(ring, base);
	if (err)
		return err;
	tables.room = kvmalloc_array(tables.max, sizeof(struct vas_virtq_desc),
				     GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	*tables_of(ring) = tables;
	return tables.room ? 0 : -ENOMEM;
}

void vas_ring_clean(struct vas_ring *ring)
{
	vas_ring_unmap(ring);
	kvfree(tables_of(ring)->room);
}

u32 vas_ring_base(const struct vas_ring *ring)
{
	return is_packed(ring) ? vas_packed_queue_base(&ring->queue.packed) :
				 ring->queue.split.next_avail;
}

void vas_ring_unmap(struct vas_ring *ring)
{
	void *const none[VAS_RING_NR_PARTS] = {};
	int part;

	for (part = 0; part < VAS_RING_NR_PARTS; part++) {
		vas_mapping_destroy(ring->maps[part]);
		ring->maps[part] = NULL;
	}
	set_parts(ring, none);
}

/* Get at the parts, unless we do already: 0, or as vas_mapping_create(). */
int vas_ring_map(struct vas_ring *ring)
{
	void *addr[VAS_RING_NR_PARTS];
	int part, err;

	if (ring->maps[0])
		return 0;
	for (part = 0; part < VAS_RING_NR_PARTS; part++) {
		err = vas_mapping_create(ring->vas, ring->gpa[part], vas_ring_part_size(ring, part),
					 vas_ring_part_is_written(ring, part) ? VAS_MAPPING_WRITE :
										0,
					 &ring->maps[part]);
		if (err)
			goto err_unmap;
		addr[part] = vas_mapping_addr(ring->maps[part]);
	}
	set_parts(ring, addr);
	return 0;
err_unmap:
	vas_ring_unmap(ring);
	return err;
}

bool vas_ring_has(const struct vas_ring *ring, const struct vas_mapping *mapping)
{
	int part;

	for (part = 0; part < VAS_RING_NR_PARTS; part++)
		if (mapping == ring->maps[part])
			return true;
	return false;
}
