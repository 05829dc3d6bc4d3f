/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * /dev/vas_net: the data path of a virtio-net device in the kernel. A session of it is a network
 * interface of the host, vasnet0 and so on, whose other end is the guest. The VMM does the
 * transport (its registers, features, configuration space, and the control queue), and says where
 * the rings are; everything else is between the guest's driver and a kernel thread a queue.
 *
 *	guest's driver		/dev/vas_net			host
 *	transmitq ----------->	a thread: skbs		---->	received by vasnet0
 *	receiveq <-----------	a thread: copies	<----	sent by vasnet0
 */
#ifndef VAS_NET_H
#define VAS_NET_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "vas_queue.h"

#define VAS_NET_MAX_PAIRS 8u
#define VAS_NET_MAX_SIZE  1024u /* of a queue */
#define VAS_NET_NAME_LEN  16u

/*
 * What the guest's driver has accepted, and no more. All of its headers are struct
 * virtio_net_hdr_v1: VERSION_1 is not an option. What VAS_NET_GET_FEATURES does not say this kernel
 * cannot do.
 */
struct vas_net_open {
	__s32 vas_fd;
	__u32 mtu; /* 0: 1500 */
	__u64 features;
	__u8 mac[6];	/* of the host's interface; all 0: a random one */
	__u16 nr_pairs; /* of queues, at least 1 */
	__u32 pad;
	char name[VAS_NET_NAME_LEN]; /* in: "": vasnet%d; out: of the interface */
};

/*
 * Codes: see <linux/vas.h>. OPEN wants CAP_NET_ADMIN in the caller's network namespace, which is
 * where the interface appears. `ethtool -i` says whose it is: bus-info is "vas:" and the number of
 * vas_fd's inode. Queue 2i is the guest's receiveq i, 2i + 1 its transmitq.
 * What the host sends while a receiveq is stopped waits for the one that is started next, 1,024
 * frames of it: a queue may change hands. SET_LINK: 0: the guest is gone, or its link is down; at
 * first it is up. SET_PAIRS: the host sends by so many (VIRTIO_NET_CTRL_MQ); at first 1; it
 * receives from all.
 * SET_OFFLOADS: what it takes now (VIRTIO_NET_CTRL_GUEST_OFFLOADS), bits of its features.
 * SET_FEATURES: another driver has accepted these, as after a reset. The interface stays, and what
 * waits for the guest is dropped. -EBUSY: a queue runs. KEEP: see vas_queue.h.
 */
#define VAS_NET_GET_FEATURES _IOR(0xe8, 0x60, __u64)
#define VAS_NET_OPEN	     _IOWR(0xe8, 0x61, struct vas_net_open)
#define VAS_NET_START	     _IOW(0xe8, 0x62, struct vas_queue_start)
#define VAS_NET_STOP	     _IOWR(0xe8, 0x63, struct vas_queue_stopped)
#define VAS_NET_SET_PAIRS    _IOW(0xe8, 0x64, __u32)
#define VAS_NET_SET_OFFLOADS _IOW(0xe8, 0x65, __u64)
#define VAS_NET_SET_LINK     _IOW(0xe8, 0x66, __u32)
#define VAS_NET_OFFER	     _IOW(0xe8, 0x67, __s32)
#define VAS_NET_SET_FEATURES _IOW(0xe8, 0x68, __u64)
#define VAS_NET_KEEP	     _IOW(0xe8, 0x69, struct vas_queue_keep)

#endif
