/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A virtio network device: pairs of queues, of which the guest fills one with room for frames and
 * sends with the other, and a control queue behind them.
 *
 *	net.c		features, config space, which queue is what
 *	serve.c		what the thread of each queue does
 *	receive.c	a frame into the guest's buffers
 *	send.c		a frame out of a chain
 *	control.c	commands
 *	port.h		where frames go to and come from: tap.c, packet.c, stream.c, null.c,
 *			loopback.c
 *	module.c	a port that serves the queues itself, in the kernel
 *	segment.c	what is left to whoever is last, for guests that don't do it
 */
#ifndef DEVICE_NET_NET_H
#define DEVICE_NET_NET_H

#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "device/device.h"

#define NET_MAX_PAIRS 16u
#define NET_MAC_LEN   6u
#define NET_MIN_FRAME 14u		  /* an Ethernet header */
#define NET_MAX_FRAME (65535u + 14u + 4u) /* an IP packet, with a VLAN tag */
#define NET_MIN_MTU   68u

/* Each is counted by one thread at a time, and read by any. */
struct net_counters {
	uint64_t frames, bytes;
	uint64_t dropped;
};

/* What the device sends to: see port.h. */
struct net_port;
struct net_port_ops;

struct net_pair {
	struct net_port *port;
	bool is_received;		    /* net->lock: its queue runs */
	struct net_counters received, sent; /* by the guest */
};

struct net {
	struct vas_device device;
	const struct net_port_ops *ops;
	uint32_t nr_pairs;
	struct net_pair pairs[NET_MAX_PAIRS];
	uint16_t mtu; /* 0: nothing is said of it */
	uint8_t own_mac[NET_MAC_LEN];
	/* Since it was started. */
	uint64_t features;
	uint32_t header_len;
	pthread_mutex_t lock;	  /* of what follows */
	uint8_t mac[NET_MAC_LEN]; /* until the next reset: the driver may have chosen it */
	uint32_t active_pairs;	  /* as many does the driver use */
};

enum net_kind { NET_TAP, NET_PACKET, NET_STREAM, NET_NULL, NET_LOOPBACK, NET_MODULE };

struct net_options {
	enum net_kind kind;
	/*
	 * NET_TAP, NET_PACKET: an interface; no such tap: it is made. NET_STREAM: a socket.
	 * NET_MODULE: the interface that is made; NULL: by a name of the kernel's.
	 */
	const char *name;
	uint32_t generate;  /* NET_NULL: bytes of the frames that the guest gets; 0: none */
	const uint8_t *mac; /* NULL: whoever connects it, or the guest, chooses one */
	uint16_t mtu;	    /* 0: none */
	uint32_t nr_pairs;  /* up to NET_MAX_PAIRS */
	uint32_t queue_size;
};

/* -errno, and vas_error() says why. */
int net_open(struct net *net, const struct net_options *options);
void net_close(struct net *net);

/* ---- its own ------------------------------------------------------------------------------ */

/* The queue's thread: device/device.h. */
int net_serve(struct vas_device *device, struct device_queue *queue);
int net_serve_control(struct net *net, struct device_queue *queue);

/* The driver uses the first nr pairs; a pair's queue for what is received runs, or does not. */
void net_use_pairs(struct net *net, uint32_t nr);
void net_set_received(struct net *net, struct net_pair *pair, bool is_received);

/* A command was done: a successor of this process finds what holds now. */
void net_keep(struct net *net);

static inline bool net_has(const struct net *net, unsigned int feature)
{
	return net->features >> feature & 1;
}

static inline void net_count(struct net_counters *counters, uint64_t frames, uint64_t bytes,
			     uint64_t dropped)
{
	__atomic_store_n(&counters->frames, counters->frames + frames, __ATOMIC_RELAXED);
	__atomic_store_n(&counters->bytes, counters->bytes + bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&counters->dropped, counters->dropped + dropped, __ATOMIC_RELAXED);
}

#endif
