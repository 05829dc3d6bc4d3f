/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A virtio block device on a disk. */
#ifndef DEVICE_BLK_BLK_H
#define DEVICE_BLK_BLK_H

#include "device/blk/disk.h"
#include "device/device.h"

#define BLK_MAX_QUEUES 64u
#define BLK_ID_LEN     20u
#define BLK_SECTOR     512u

struct blk {
	struct vas_device device;
	struct disk disk;
	char id[BLK_ID_LEN];
};

struct blk_options {
	struct disk_options disk;
	const char *serial; /* up to 20 bytes; NULL: none */
	uint32_t nr_queues;
	uint32_t queue_size;
};

/* -errno, and vas_error() says why. */
int blk_open(struct blk *blk, const struct blk_options *options);
void blk_close(struct blk *blk);

#endif
