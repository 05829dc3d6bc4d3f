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

#define VAS_BLK_MAX_QUEUES 64u
#define VAS_BLK_MAX_SIZE   1024u /* of a queue */
#define VAS_BLK_ID_LEN	   20u
#define VAS_BLK_MAX_ZEROES (4u << 20) /* bytes of a discard, or of zeroes: one range a request */

/*
 * What the guest's driver has accepted of VIRTIO_RING_F_*, VIRTIO_BLK_F_*, and no more. What
 * VAS_BLK_GET_FEATURES does not say the module that is loaded cannot do.
 */
#define VAS_BLK_FEATURES                                                                          \
	(1ull << 28 /* INDIRECT_DESC */ | 1ull << 29 /* EVENT_IDX */ | 1ull << 32 /* VERSION_1 */ \
	 | 1ull << 33 /* ACCESS_PLATFORM: see vas_queue.h */ | 1ull << 34	/* RING_PACKED */ \
	 | 1ull << 2 /* BLK_F_SEG_MAX */ | 1ull << 5 /* BLK_F_RO */ | 1ull << 6 /* BLK_SIZE */    \
	 | 1ull << 9 /* BLK_F_FLUSH */ | 1ull << 12 /* BLK_F_MQ */ | 1ull << 13 /* DISCARD */     \
	 | 1ull << 14 /* BLK_F_WRITE_ZEROES */)

struct vas_blk_open {
	__s32 vas_fd;
	__s32 file_fd; /* the disk: any file that can be read, and written unless RO */
	__u64 features;
	__u64 capacity; /* in bytes, a multiple of 512 */
	char id[VAS_BLK_ID_LEN];
	__u32 pad;
};

/*
 * Codes: see <linux/vas.h>. OPEN: the disk's open file stays open until no queue runs any more,
 * also when the process dies: so who has a lock of that file (flock) has it until the last I/O has
 * ended. With RO among its features nothing is written, whatever is accepted later.
 * SET_FEATURES: another driver has accepted these, as after a reset. -EBUSY: a queue runs.
 * SET_CAPACITY: the disk is larger from now on, or smaller; also while queues run, and before the
 * guest is told. KEEP: see vas_queue.h.
 */
#define VAS_BLK_OPEN	     _IOW(0xe8, 0x20, struct vas_blk_open)
#define VAS_BLK_START	     _IOW(0xe8, 0x21, struct vas_queue_start)
#define VAS_BLK_STOP	     _IOWR(0xe8, 0x22, struct vas_queue_stopped)
#define VAS_BLK_OFFER	     _IOW(0xe8, 0x23, __s32)
#define VAS_BLK_GET_FEATURES _IOR(0xe8, 0x24, __u64)
#define VAS_BLK_SET_FEATURES _IOW(0xe8, 0x25, __u64)
#define VAS_BLK_SET_CAPACITY _IOW(0xe8, 0x26, __u64)
#define VAS_BLK_KEEP	     _IOW(0xe8, 0x27, struct vas_queue_keep)

#endif
