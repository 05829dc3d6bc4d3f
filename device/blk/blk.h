/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A virtio block device on a disk.
 *
 *	blk.c		features, config space, a queue's thread
 *	request.c	what a request says, and its answer
 *	disk.h		where the bytes are: sync.c, uring.c
 *	module.c	the kernel serves the queues
 */
#ifndef DEVICE_BLK_BLK_H
#define DEVICE_BLK_BLK_H

#include "device/blk/disk.h"
#include "device/device.h"
#include "device/module.h"

#define BLK_MAX_QUEUES 64u
#define BLK_ID_LEN     20u
#define BLK_SECTOR     512u

struct blk {
	struct vas_device device;
	struct disk disk;
	char id[BLK_ID_LEN];
	bool is_write_through;	     /* the driver cannot flush, so each write is stable */
	bool is_by_module;	     /* vas_blk.ko serves the queues */
	struct device_module module; /* its fd is -1: it is not bound */
};

struct blk_options {
	struct disk_options disk;
	const char *serial; /* up to 20 bytes; NULL: none */
	uint32_t nr_queues;
	uint32_t queue_size;
	bool by_module; /* of a file, for a guest on a bus */
};

/* -errno, and vas_error() says why. */
int blk_open(struct blk *blk, const struct blk_options *options);
void blk_close(struct blk *blk);

#endif
