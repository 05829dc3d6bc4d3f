/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Requests of virtio-blk, done on a file. */
#ifndef VAS_BLK_DISK_H
#define VAS_BLK_DISK_H

#include <linux/types.h>

#include "core/virtqueue/chain.h"
#include <uapi/linux/vas_blk.h>

struct file;
struct vas;

/* What a step of a request moves at most. */
#define DISK_BUFFER (64u << 10)

/**
 * struct disk - what the guest sees as one
 * @vas: the guest's memory
 * @file: where the sectors are
 * @capacity: in bytes; it may become another one at any time
 * @readonly: refuse what writes, whatever the driver has accepted
 * @id: what GET_ID answers
 */
struct disk {
	struct vas *vas;
	struct file *file;
	u64 capacity;
	bool readonly;
	char id[VAS_BLK_ID_LEN];
};

/**
 * struct stream - what is left of one direction of a chain
 * @vas: the guest's memory
 * @segment: the first that is left
 * @nr: how many are
 * @at: how much of the first is done
 * @left: bytes in all of them
 */
struct stream {
	struct vas *vas;
	const struct vas_virtq_segment *segment;
	u32 nr;
	u32 at;
	u64 left;
};

/**
 * struct request - a request under way
 * @disk: which
 * @features: that its driver has accepted
 * @out: what is left to read of what the guest sends; in the chain that it was begun with
 * @in: what is left to write
 * @in_len: what @in was at first
 * @type: VIRTIO_BLK_T_*
 * @status: what the guest will be told
 * @may_unmap: of WRITE_ZEROES: the sectors need not stay allocated
 * @is_plain: of WRITE_ZEROES: the file has nothing for it, so zeroes are written
 * @pos: where the next sector is
 * @left: bytes of sectors that are left
 */
struct request {
	struct disk *disk;
	u64 features;
	struct stream out;
	struct stream in;
	u64 in_len;
	u32 type;
	u8 status;
	bool may_unmap;
	bool is_plain;
	u64 pos;
	u64 left;
};

int disk_begin(struct disk *disk, const struct vas_virtq_chain *chain, u64 features,
	       struct request *request);
int disk_step(struct request *request, void *buffer, u32 *written);

#endif
