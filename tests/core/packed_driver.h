/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A driver's side of a packed virtqueue, for tests: against Linux's header, with an index and a wrap
 * counter apart, and nothing of core/'s.
 */
#ifndef TESTS_CORE_PACKED_DRIVER_H
#define TESTS_CORE_PACKED_DRIVER_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/kernel/virtqueue.h"

struct packed_driver {
	char *ram;     /* guest memory from gpa 0 on */
	uint64_t iova; /* behind an IOMMU: of gpa 0, for tables */
	uint32_t size;
	struct vring_packed_desc *desc;
	struct vring_packed_desc_event *driver;
	struct vring_packed_desc_event *device;
	uint32_t avail, used; /* indices */
	bool avail_wrap, used_wrap;
	uint32_t nr_free;   /* descriptors */
	uint16_t *nr_descs; /* by id: of the chain under way, or 0 */
	uint16_t *ids;	    /* of all that were added, round and round */
	uint32_t nr_added, nr_answered;
	int kick, call; /* eventfds */
};

/* A ring of `size` in memory of its own, exactly as large as it must be; at the index, both sides. */
void packed_driver_init(struct packed_driver *d, char *ram, uint32_t size, uint16_t index,
			bool wrap);
void packed_driver_clean(struct packed_driver *d);

/* Make a chain available, by way of an indirect table at `table` if that is not 0: its id. */
uint16_t packed_driver_add(struct packed_driver *d, const struct part *parts, uint32_t nr,
			   uint64_t table);

/* The next answer, if there is one; it must be for a chain that is under way. */
bool packed_driver_get(struct packed_driver *d, uint16_t *id, uint32_t *len);
/* The same with VIRTIO_F_IN_ORDER: how many chains it is for, the oldest. */
uint32_t packed_driver_get_in_order(struct packed_driver *d);

/* Does the device want a kick, now that `nr` descriptors were added since it was looked at? */
bool packed_driver_must_kick(struct packed_driver *d, uint32_t nr);
/* Ask for an interrupt for the next answer. True: it is there already. */
bool packed_driver_enable_interrupt(struct packed_driver *d);

#endif
