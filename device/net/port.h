/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Where the frames of a pair of queues go to, and where they come from:
 *
 *	tap		an interface of the host's, with checksums and segments left to whoever can
 *	packet		one that is there already, by a packet socket; the same is left to others
 *	stream		who is connected to a socket, as passt is: frames as they are
 *	null		takes all; gives nothing, or frames without end: what the rest costs
 *	loopback	what the guest sends is what it receives
 *	module		an interface of vas_net.ko's, which serves the queues itself
 */
#ifndef DEVICE_NET_PORT_H
#define DEVICE_NET_PORT_H

#include <stdint.h>
#include <sys/uio.h>

#include "device/net/net.h"
#include "device/queue.h"

#define NET_FRAME_IOV 512u /* of one frame; more are too many */

struct net_receiver;

/* A frame. Its bytes may change while they are used; the header is a private copy. */
struct net_frame {
	struct virtio_net_hdr_v1 header;
	const struct iovec *iov; /* without the header */
	uint32_t nr;
	uint32_t len; /* bytes in iov */
};

struct net_port {
	const struct net_port_ops *ops;
	int fd; /* readable when there may be a frame; -1: there is one whenever it is looked for */
};

/* What the kernel's own interfaces do with the header that virtio has. */
#define NET_KERNEL_FEATURES                                                  \
	(1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM |       \
	 1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6 | \
	 1ull << VIRTIO_NET_F_GUEST_ECN | 1ull << VIRTIO_NET_F_HOST_TSO4 |   \
	 1ull << VIRTIO_NET_F_HOST_TSO6 | 1ull << VIRTIO_NET_F_HOST_ECN)

struct net_port_ops {
	const char *name;
	uint64_t features; /* beside the device's own */

	/*
	 * The port of the next pair; those before it are there. -errno, and vas_error() says why.
	 */
	int (*open)(struct net *net, const struct net_options *options, struct net_port **port);
	void (*close)(struct net_port *port);

	bool reaches_others; /* who are to be told when the guest has come here */

	/* The driver has accepted these features. NULL: they mean nothing to it. */
	int (*start)(struct net_port *port, uint64_t features);

	/*
	 * A frame of the guest's. False: it was dropped. Around all of a burst: begin and end,
	 * which may be NULL. Where others are reached, two threads may send at once.
	 */
	bool (*send)(struct net_port *port, const struct net_frame *frame);
	void (*begin)(struct net_port *port);
	void (*end)(struct net_port *port);

	/*
	 * A frame for the guest, which is good until the next call. 1: there is one; 0: none yet;
	 * or -errno: there will be none any more. NULL: there is never one.
	 */
	int (*receive)(struct net_port *port, struct net_frame *frame);

	/*
	 * Instead of receive: others put frames for the guest into its buffers, from now on, or
	 * from now on not (NULL).
	 */
	void (*lend)(struct net_port *port, struct net_receiver *receiver);

	/* The guest takes frames from now on, or does no more. NULL: it does not matter. */
	void (*attach)(struct net_port *port, bool takes);

	/*
	 * Instead of send and receive, for all pairs alike: others serve a queue, until it is to
	 * stop; what is in flight has been given back. They work on a vas: may_bind, bind, unbind
	 * and iotlb, of the first pair, as vas_device_ops have them. Reset, of each pair: NULL: it
	 * does not matter.
	 */
	int (*serve)(struct net_port *port, struct device_queue *queue);
	int (*may_bind)(struct net_port *port, struct vas *vas);
	int (*bind)(struct net_port *port, struct vas *vas);
	void (*unbind)(struct net_port *port);
	int (*iotlb)(struct net_port *port, uint32_t max_entries, struct vas_iotlb *iotlb);
	void (*reset)(struct net_port *port);
};

/*
 * Where the first segment of each chain of a burst is, as much of it as is contiguous, or nothing
 * (iov_len 0).
 */
static inline void net_find_places(const struct vas_virtq_burst *burst, const struct memory *memory,
				   enum memory_access access, struct iovec *places)
{
	uint32_t i;

	for (i = 0; i < burst->nr; i++) {
		const struct vas_virtq_segment *segment = burst->chains[i].segments;
		uint64_t len = segment->len;
		uint8_t *bytes = memory_at(memory, segment->gpa, &len, access);

		places[i] = (struct iovec){ bytes, bytes ? len : 0 };
	}
}

#define NET_AHEAD 12u /* frames whose first bytes are on their way from the driver's cache */

/* A line further, which may be in no buffer: a hint does no harm wherever it leads. */
static inline const void *net_next_line(const uint8_t *bytes)
{
	return (const void *)((uintptr_t)bytes + 64);
}

/* To write: for reading, as it would be otherwise, a second request would follow. */
static inline void net_prefetch_to_write(const uint8_t *bytes)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw (%0)\n\tprefetchw 64(%0)" : : "r"(bytes));
#else
	__builtin_prefetch(bytes, 1);
	__builtin_prefetch(net_next_line(bytes), 1);
#endif
}

static inline void net_prefetch_to_read(const uint8_t *bytes)
{
	__builtin_prefetch(bytes);
	__builtin_prefetch(net_next_line(bytes));
}

extern const struct net_port_ops net_tap, net_packet, net_stream, net_null, net_loopback,
	net_module;

#endif
