/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A driver's side of a split virtqueue in guest memory, for tests: does well or ill, as it is told. */
#ifndef TESTS_KERNEL_VIRTQUEUE_H
#define TESTS_KERNEL_VIRTQUEUE_H

#include <linux/virtio_ring.h>
#include <stdint.h>

struct virtqueue {
	char *ram; /* guest memory from gpa 0 on */
	uint32_t size;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	uint64_t iova; /* behind an IOMMU: of gpa 0, for tables */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t next_desc;  /* descriptors are used round and round */
	uint16_t seen;	     /* of the used ring */
	int kick, call, err; /* eventfds */
};

struct part {
	uint64_t gpa;
	uint32_t len;
	uint32_t in; /* the device writes it */
};

/* Lay the ring out from gpa on, and make the eventfds. */
void virtqueue_init(struct virtqueue *q, char *ram, uint64_t gpa, uint32_t size);

/* Put a chain into the ring, by way of an indirect table at `table` if that is not 0: its head. */
uint16_t virtqueue_add(struct virtqueue *q, const struct part *parts, int nr, uint64_t table);
void virtqueue_kick(struct virtqueue *q);

/* Wait for the next answer, by interrupt: 1 and what it says, or 0: none within the time. */
int virtqueue_wait(struct virtqueue *q, struct vring_used_elem *elem, int timeout_ms);
/* The device has said that the ring is broken. */
int virtqueue_is_broken(struct virtqueue *q, int timeout_ms);

#endif
