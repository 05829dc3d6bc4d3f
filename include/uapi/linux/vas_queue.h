/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a VMM says to start and to stop a virtqueue of any device in the kernel: the arguments of
 * VAS_BLK_START, VAS_NET_START, and so on.
 *
 * The open file that VAS_BLK_OPEN or VAS_NET_OPEN was given as the vas stays open until no queue
 * runs any more, also when the process dies: so a lock of that file says that one may still run.
 *
 * Rings and buffers are in the vas's own file, or in a further file of the layout's whose fd was
 * brought by VAS_BLK_OFFER, VAS_NET_OFFER: the result is its number, or an error as of
 * vas_backing_offer(). What is elsewhere is no memory to a queue: it breaks.
 */
#ifndef VAS_QUEUE_H
#define VAS_QUEUE_H

#include <linux/types.h>

/*
 * Where to go on: of a split ring the next available entry, of a packed one (the driver has
 * accepted RING_PACKED) the next available position, and the next used one in the upper half, as
 * vhost-user has it. That is for a new queue:
 */
#define VAS_QUEUE_NEW_SPLIT  0u
#define VAS_QUEUE_NEW_PACKED 0x80008000u

struct vas_queue_start {
	__u32 index;
	__u32 size;	/* of a split ring a power of two */
	__u64 parts[3]; /* gpa of the descriptors, the driver's area, the device's */
	__s32 kick_fd;
	__s32 call_fd;
	__s32 err_fd; /* raised if the ring makes no sense: the device needs a reset; -1: none */
	__u32 base;
};

/*
 * Where a packed ring stands is in no memory of the guest's. A process that serves the queue's
 * device by a module, and may die at any moment, leaves it to its successor: of vhost-user's record
 * of requests in flight, the part from used_idx on. It is written when the queue that is started
 * next stops, for whatever reason; nothing is in flight then.
 */
struct vas_queue_place {
	__u16 used_idx, old_used_idx;
	__u8 used_wrap, old_used_wrap;
};

struct vas_queue_keep {
	__u32 index;
	__u32 pad;
	__u64 place; /* address of a struct vas_queue_place, in one page of shared memory */
};

struct vas_queue_stopped {
	__u32 index;
	__u32 base;   /* out */
	__u32 broken; /* out */
	__u32 pad;
	__u64 nr_requests; /* out; of a network device: packets */
};

#endif
