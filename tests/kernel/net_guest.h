/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest with a virtio-net device of vas_net.ko, and the host's end of it; both played by the test. */
#ifndef TESTS_KERNEL_NET_GUEST_H
#define TESTS_KERNEL_NET_GUEST_H

#include <linux/virtio_net.h>
#include <net/if.h>

#include "device.h"
#include "include/uapi/linux/vas_net.h"
#include "virtqueue.h"

#define MIB	   (1ull << 20)
#define PAGE	   4096ull
#define RAM	   (4 * MIB)
#define SIZE	   64u /* of the queues */
#define HEADER_LEN sizeof(struct virtio_net_hdr_v1)
#define MAX_FRAME  (65535 + 14)

#define FEATURE(name) (1ull << VIRTIO_NET_F_##name)
#define VERSION_1     (1ull << 32)
#define INDIRECT      (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT	      (1ull << VIRTIO_RING_F_EVENT_IDX)

/* Where things are in guest memory. */
#define TABLE	  0x11000ull
#define RECEIVEQ  0x20000ull
#define TRANSMITQ 0x40000ull
#define OUT	  0x100000ull /* what it sends: a header, a frame */
#define IN	  0x200000ull /* where it receives */

struct net_guest {
	struct vas *vas;
	char *ram;
	int net;
	int sock; /* of the host, on the interface: whole frames */
	char name[IFNAMSIZ];
	struct virtqueue receiveq;
	struct virtqueue transmitq;
};

/* A device on a vas that has memory for the queues, which then run; *ram is at its gpa 0. */
void net_guest_join(struct net_guest *g, struct vas *vas, char *ram, uint64_t features);

/* A guest whose two queues run, and an interface that is up; skips the case without vas_net.ko. */
void net_guest_init(struct net_guest *g, uint64_t features);

/* The interface is up, and the host's socket on it. */
void net_guest_up(struct net_guest *g);

/* As the ioctl: 0 or -errno. */
int net_guest_open(struct net_guest *g, struct vas_net_open arg);
int net_guest_start(struct net_guest *g, uint32_t index, uint32_t base);
struct vas_queue_stopped net_guest_stop(struct net_guest *g, uint32_t index);

/* A frame of the kind that nobody else sends, with bytes that depend on the seed. */
void net_frame_fill(void *frame, uint32_t len, uint32_t seed);

/* The guest sends what it has at OUT, cut as it is said there, and waits until it has it back. */
void net_guest_send(struct net_guest *g, const struct part *parts, int nr, uint64_t table);
void net_guest_send_frame(struct net_guest *g, uint32_t len, uint32_t seed);

/* The host: the next frame of our kind, or -1: none came. */
ssize_t net_host_receive(struct net_guest *g, void *frame, size_t len, int timeout_ms);
void net_host_send(struct net_guest *g, const void *frame, size_t len);

/* What the interface counts, by ethtool's name for it. */
uint64_t net_count(struct net_guest *g, const char *name);

#endif
