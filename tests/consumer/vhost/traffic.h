/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A vas with a device of the kernel's, and the driver's side of its two rings. The rings lie in a
 * region of their own, buffers in another.
 */
#ifndef TESTS_CONSUMER_VHOST_TRAFFIC_H
#define TESTS_CONSUMER_VHOST_TRAFFIC_H

#include <vas/dirty.h>
#include <vas/vhost.h>

#include "tests/harness.h"
#include "tests/kernel/virtqueue.h"

#define PAGE	4096ull
#define MIB	(1ull << 20)
#define GIB	(1ull << 30)
#define RINGS	MIB	  /* [0, 1 MiB) */
#define BUFFERS (2 * MIB) /* [2 MiB, 8 MiB) */
#define RX	0
#define TX	1

struct traffic {
	struct vas *vas;
	char *ram; /* gpa 0 on */
	uint64_t rings_id;
	int fd; /* the device */
	struct vas_vhost *vhost;
	struct virtqueue queues[VAS_VHOST_QUEUES];
};

/* Opens the device, or skips the case if there is none; attached, and not started. */
void traffic_open(struct traffic *t, enum vas_vhost_kind kind);
/* The kernel serves the rings from `bases` on (NULL: from the start); backend -1: vsock. */
void traffic_start(struct traffic *t, uint64_t features, int backend, const uint32_t *bases);
void traffic_close(struct traffic *t);

/* Offer a buffer, for the device to write to or to read. */
void traffic_offer(struct traffic *t, int queue, uint64_t gpa, uint32_t len);
/* Its answer: how much it wrote. */
uint32_t traffic_wait(struct traffic *t, int queue);

#endif
