/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest with a virtio-blk disk of vas_blk.ko, played by the test. */
#ifndef TESTS_KERNEL_BLK_GUEST_H
#define TESTS_KERNEL_BLK_GUEST_H

#include <linux/virtio_blk.h>

#include "device.h"
#include "include/uapi/linux/vas_blk.h"
#include "virtqueue.h"

#define MIB	 (1ull << 20)
#define PAGE	 4096ull
#define RAM	 (4 * MIB)
#define SIZE	 64u /* of the queue */
#define CAPACITY (8 * MIB)
#define INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT	 (1ull << VIRTIO_RING_F_EVENT_IDX)

/* Where things are in guest memory. */
#define HEADER 0x10000ull
#define STATUS 0x10100ull
#define TABLE  0x11000ull
#define QUEUE  0x20000ull
#define DATA   0x100000ull

struct guest {
	struct vas *vas;
	char *ram;
	int file;
	int blk;
	uint64_t capacity;
	struct virtqueue q;
};

/* A guest whose queue 0 runs, with a disk of CAPACITY bytes; skips the case without vas_blk.ko. */
void guest_init(struct guest *g, uint64_t features);

int blk_open(struct guest *g, uint64_t features);
int queue_start(struct guest *g, uint32_t base);
struct vas_queue_stopped queue_stop(struct guest *g);

void put_header(struct guest *g, uint32_t type, uint64_t sector);
/* Do one request of one data part, and return its status; *written is what the device says. */
int request(struct guest *g, uint32_t type, uint64_t sector, struct part data, uint64_t table,
	    uint32_t *written);

#endif
