/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A queue of requests for a disk. */
#ifndef VAS_BLK_QUEUE_H
#define VAS_BLK_QUEUE_H

#include "../virtqueue/queue.h"
#include "disk.h"

/**
 * struct target - one virtio-blk device
 * @lock: one ioctl at a time
 * @set: its queues
 * @disk: what they serve; .vas is NULL before VAS_BLK_OPEN
 */
struct target {
	struct mutex lock;
	struct vas_queue_set set;
	struct disk disk;
};

extern const struct vas_queue_ops blk_queue_ops;

#endif
