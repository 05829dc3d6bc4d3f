/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Requests of virtio-blk, done on a file. */
#ifndef VAS_BLK_DISK_H
#define VAS_BLK_DISK_H

#include <linux/types.h>

#include "vas_blk.h"

struct chain;
struct file;
struct vas;

/* What a queue's thread moves at once. */
#define DISK_BUFFER (64u << 10)

/**
 * struct disk - what the guest sees as one
 * @vas: the guest's memory
 * @file: where the sectors are
 * @capacity: in bytes
 * @readonly: refuse writes
 * @id: what GET_ID answers
 */
struct disk {
	struct vas *vas;
	struct file *file;
	u64 capacity;
	bool readonly;
	char id[VAS_BLK_ID_LEN];
};

int disk_serve(struct disk *disk, const struct chain *chain, void *buffer, u32 *written);

#endif
