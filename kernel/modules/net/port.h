/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A network interface whose other end is a guest. */
#ifndef VAS_NET_PORT_H
#define VAS_NET_PORT_H

#include <linux/netdevice.h>
#include <linux/ptr_ring.h>
#include <linux/virtio_net.h>

#include "../virtqueue/queue.h"
#include "pool.h"
#include <uapi/linux/vas_net.h>

/* Before each frame, in memory as on the ring. */
#define HEADER_LEN sizeof(struct virtio_net_hdr_v1)

/* Buffers that a frame may be spread over. */
#define MAX_MERGED 64

/* What a thread does before others may run, and before either side hears of it. */
#define MAX_BATCH	64
#define MAX_BATCH_BYTES 0x80000u

/* Pages of the guest's that a queue remembers: buffers are used again and again. */
#define NR_CACHES 256

/**
 * struct net_counters - what happened to one queue
 * @packets: that went through
 * @bytes: of their frames
 * @dropped: there was no room, or no memory, or the interface was down
 * @errors: the guest's header or length made no sense
 *
 * Each has one writer at a time: who serves the queue.
 */
struct net_counters {
	u64 packets;
	u64 bytes;
	u64 dropped;
	u64 errors;
};

struct net_queue;

/**
 * struct net_pair - what the host's side has of a pair of queues
 * @skbs: that wait for a receiveq, each with its header before it
 * @receiveq: takes them; NULL: none runs, and they wait for the next one
 * @rx: of the guest's receiveq
 * @tx: of its transmitq
 * @nr_at_once: packets that did not wait for the receiveq's thread; one of @rx' counters
 * @nr_full: packets that had no room in @skbs; under the interface's transmit lock
 */
struct net_pair {
	struct ptr_ring skbs;
	struct net_queue __rcu *receiveq;
	struct net_counters rx;
	struct net_counters tx;
	u64 nr_at_once;
	u64 nr_full;
};

/**
 * struct port - a device
 * @lock: one ioctl at a time
 * @set: its queues
 * @dev: the interface; NULL before VAS_NET_OPEN
 * @nr_pairs: that the device has
 * @offloads: what the guest takes at the moment, of its features
 * @pairs: @nr_pairs of them
 */
struct port {
	struct mutex lock;
	struct vas_queue_set set;
	struct net_device *dev;
	u32 nr_pairs;
	u64 offloads;
	struct net_pair pairs[VAS_NET_MAX_PAIRS];
};

/**
 * struct net_queue - a receiveq or a transmitq
 * @queue: the ring and its thread
 * @port: whose it is
 * @pair: of which pair
 * @is_receiveq: and which of the two
 * @caches: of guest memory, one a page, by the page's number
 * @pool: a transmitq's, for frames
 * @answers: to be given together
 * @nr_answers: how many they are
 */
struct net_queue {
	struct vas_queue queue;
	struct port *port;
	struct net_pair *pair;
	bool is_receiveq;
	struct vas_cache caches[NR_CACHES];
	struct pool pool;
	struct vas_virtq_answer answers[MAX_BATCH + MAX_MERGED];
	u32 nr_answers;
};

static inline struct net_queue *to_net(struct vas_queue *queue)
{
	return container_of(queue, struct net_queue, queue);
}

static inline bool port_has(const struct port *port, int feature)
{
	return port->set.features & 1ull << feature;
}

/* Counters are read while they are written. */
static inline void net_count(u64 *counter, u64 nr)
{
	WRITE_ONCE(*counter, *counter + nr);
}

u64 port_known_features(void);
bool port_can(u64 features);
int port_create(struct port *port, struct vas_net_open *arg);
void port_destroy(struct port *port);
void port_set_features(struct port *port, u64 features);
void port_set_offloads(struct port *port, u64 offloads);
int port_set_pairs(struct port *port, u32 nr);
void port_set_link(struct port *port, bool is_up);

extern const struct ethtool_ops port_ethtool_ops;

bool receive_now(struct net_queue *queue, struct sk_buff *skb);
int receive_serve(struct net_queue *queue);
int transmit_serve(struct net_queue *queue);
void net_queue_answer(struct net_queue *queue, u32 len);
void net_queue_flush(struct net_queue *queue);

#endif
