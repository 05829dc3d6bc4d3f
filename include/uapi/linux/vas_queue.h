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

#include <linux/ioctl.h>
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

/* How many were answered since the start. By any device's file. -ENOENT: the queue does not run. */
struct vas_queue_count {
	__u32 index;
	__u32 pad;
	__u64 nr_requests; /* out, as above */
};

/*
 * A device behind an IOMMU. If the driver has accepted VIRTIO_F_ACCESS_PLATFORM, the parts of its
 * rings, and all addresses in there, are iovas: what they stand for is in the device's view.
 *
 *	VAS_QUEUE_VIEW		makes it, empty; once, after VAS_NET_OPEN or VAS_BLK_OPEN
 *	VAS_QUEUE_MAP		from now on iovas stand for gpas; who has missed one goes on
 *	VAS_QUEUE_UNMAP		these do not any more, and no queue uses any of them
 *	VAS_QUEUE_REFUSE	there is no such iova: the queue that has missed it breaks
 *	VAS_QUEUE_MISSES	what was missed, or will be, since the last call
 *
 * These are for any device's file, by any thread and several at once; before there is a view they
 * are -ENXIO. The file polls readable (POLLIN) while there are misses to be told.
 *
 * The view is a TLB: what is not there is missed, asked for, and waited for, ten seconds at most;
 * then the queue breaks, unless VAS_QUEUE_NO_DEADLINE was said. A queue that stops, is frozen or
 * loses its ring does not wait. A miss is told once; one that has no answer for ten seconds may be
 * told again. A map answers it, also one that was there already; a refusal does. What is mapped
 * stays so while queues stop and start, and whatever their driver accepts.
 *
 * An unmap of everything, from 0 with size 0, forgets what was missed as well: a queue that waits
 * misses it anew. So a user who has lost what he was told of, or his tables, begins from there.
 *
 * Without VIRTIO_F_ACCESS_PLATFORM all addresses are gpas. With it and no view, no queue starts:
 * -ENXIO.
 */
#define VAS_QUEUE_READ	1u /* the device may, or wants to */
#define VAS_QUEUE_WRITE 2u

#define VAS_QUEUE_MAX_ENTRIES 65536u
#define VAS_QUEUE_MAX_MAPS    1024u /* of one call */
#define VAS_QUEUE_MAX_WAIT_MS 10000u

/* No miss has a deadline: a queue waits for its answer as long as it runs. */
#define VAS_QUEUE_NO_DEADLINE 1u

struct vas_queue_view {
	__u32 max_entries; /* 1 to VAS_QUEUE_MAX_ENTRIES, each of about 150 bytes of memory */
	__u32 flags;	   /* VAS_QUEUE_NO_DEADLINE */
};

/* No alignment is needed. A range may end with the address space, and not go round its end. */
struct vas_queue_map {
	__u64 iova;
	__u64 size; /* not 0 */
	__u64 gpa;
	__u32 prot;
	__u32 pad;
};

/*
 * In their order, up to the first that fails. -EINVAL: it makes no sense; -EEXIST: some of it is
 * mapped, and does not say the same of all of it; -ENOSPC: all entries are in use: unmap some, or
 * all.
 */
struct vas_queue_maps {
	__u64 maps; /* address of nr struct vas_queue_map */
	__u32 nr;   /* in: at most VAS_QUEUE_MAX_MAPS; out: how many were done */
	__u32 pad;
};

/*
 * Entries go as a whole, also those of which a part is outside of the range. -ETIMEDOUT, -EINTR: a
 * queue may still use them: nothing may be told to the guest before the same call has returned 0,
 * or a later one, which waits for what was unmapped before it, too.
 */
struct vas_queue_unmap {
	__u64 iova;
	__u64 size;	  /* 0, or more than there is: up to the end of the address space */
	__u32 timeout_ms; /* at most VAS_QUEUE_MAX_WAIT_MS */
	__u32 pad;
};

struct vas_queue_miss {
	__u64 iova;
	__u32 prot; /* how it is wanted: one of the two */
	__u32 pad;
};

/* Does not wait: there may be none. */
struct vas_queue_misses {
	__u64 misses; /* address of room for nr struct vas_queue_miss */
	__u32 nr;     /* in, and out: how many there are */
	__u32 pad;
};

#define VAS_QUEUE_VIEW	 _IOW(0xe8, 0x70, struct vas_queue_view)
#define VAS_QUEUE_MAP	 _IOWR(0xe8, 0x71, struct vas_queue_maps)
#define VAS_QUEUE_UNMAP	 _IOW(0xe8, 0x72, struct vas_queue_unmap)
#define VAS_QUEUE_REFUSE _IOW(0xe8, 0x73, __u64)
#define VAS_QUEUE_MISSES _IOWR(0xe8, 0x74, struct vas_queue_misses)
#define VAS_QUEUE_COUNT	 _IOWR(0xe8, 0x75, struct vas_queue_count)

#endif
