/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Where a virtqueue's ring lies, for consumers that hand it to somebody else. */
#ifndef CONSUMER_RING_H
#define CONSUMER_RING_H

#include <stdint.h>

#include <vas/consumer.h>

/* As virtio names them; of a split ring: descriptors, available ring, used ring. */
enum ring_part { RING_DESC, RING_DRIVER, RING_DEVICE, RING_NR_PARTS };

/* With the event words of a split ring, which the device looks at if they were negotiated. */
static inline uint64_t ring_part_size(enum ring_part part, int is_packed, uint32_t nr_entries)
{
	if (part == RING_DESC)
		return 16ull * nr_entries;
	if (is_packed)
		return 4;
	return 6 + (part == RING_DRIVER ? 2ull : 8ull) * nr_entries;
}

/* The range of what a change takes away that has a byte of [gpa, +size), or NULL. */
static inline const struct vas_region *ring_range_gone(const struct vas_delta *delta, uint64_t gpa,
						       uint64_t size)
{
	size_t i;

	for (i = 0; i < delta->nr_gone; i++) {
		const struct vas_region *gone = &delta->gone[i];

		if (gone->gpa < gpa + size && gpa < gone->gpa + gone->size)
			return gone;
	}
	return NULL;
}

#endif
