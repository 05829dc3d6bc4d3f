/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * /dev/vas_blk: the data path of a virtio-blk device in the kernel. The VMM does the transport (its
 * registers, features, configuration space) and says where the rings are; everything else is
 * between the guest's driver and a kernel thread a queue.
 */
#ifndef VAS_BLK_H
#define VAS_BLK_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "vas_queue.h"

#define VAS_BLK_MAX_QUEUES 16u
#define VAS_BLK_MAX_SIZE   1024u /* of a queue */
#define VAS_BLK_ID_LEN	   20u

/* What the guest's driver has accepted of VIRTIO_RING_F_*, VIRTIO_BLK_F_*, and no more. */
#define VAS_BLK_FEATURES                                                                          \
	(1ull << 28 /* INDIRECT_DESC */ | 1ull << 29 /* EVENT_IDX */ | 1ull << 32 /* VERSION_1 */ \
	 | 1ull << 34 /* RING_PACKED */ | 1ull << 33 /* ACCESS_PLATFORM: see vas_queue.h */       \
	 | 1ull << 5 /* BLK_F_RO */ | 1ull << 9 /* BLK_F_FLUSH */ | 1ull << 12 /* BLK_F_MQ */)

struct vas_blk_open {
	__s32 vas_fd;
	__s32 file_fd; /* the disk: any file that can be read, and written unless RO */
	__u64 features;
	__u64 capacity; /* in bytes, a multiple of 512 */
	char id[VAS_BLK_ID_LEN];
	__u32 pad;
};

/* Codes: see <linux/vas.h>. */
#define VAS_BLK_OPEN  _IOW(0xe8, 0x20, struct vas_blk_open)
#define VAS_BLK_START _IOW(0xe8, 0x21, struct vas_queue_start)
#define VAS_BLK_STOP  _IOWR(0xe8, 0x22, struct vas_queue_stopped)
#define VAS_BLK_OFFER _IOW(0xe8, 0x23, __s32)

#endif
