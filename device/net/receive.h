/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The queue that a guest receives with: its buffers, which are filled one after the other. */
#ifndef DEVICE_NET_RECEIVE_H
#define DEVICE_NET_RECEIVE_H

#include "device/net/port.h"

#define NET_BUFFERS	    64u /* looked at at once, and the most that one frame may take */
#define NET_BUFFER_SEGMENTS 1024u

struct net_receiver {
	struct device_queue *queue;
	struct net_counters *counters;
	uint32_t header_len;
	bool may_merge;

	/* Buffers that were looked at: filled up to `filled`, and from there on free. */
	struct vas_virtq_burst burst;
	uint32_t filled;
	struct vas_virtq_chain chains[NET_BUFFERS];
	struct vas_virtq_segment segments[NET_BUFFER_SEGMENTS];
	struct iovec places[NET_BUFFERS]; /* of their first segments; as much as is contiguous */
	uint64_t serial;		  /* of the memory, for `places` */
	uint64_t generation;		  /* of the queue's section, for all of these */
	struct vas_virtq_answer answers[NET_BUFFERS];
	uint64_t frames, bytes, dropped; /* since the last flush */
};

void net_receiver_init(struct net_receiver *receiver, struct net *net, struct device_queue *queue);

/*
 * In a section of the queue's memory, device_queue_enter().
 * 1: the frame is in the guest's buffers, or was dropped since none is large enough; 0: there is no
 * room for it yet. The guest sees what is there after a flush.
 */
int net_receive(struct net_receiver *receiver, const struct net_frame *frame);
void net_receive_flush(struct net_receiver *receiver);

/* The frames that a dead device was writing are lost: its buffers go back with no bytes. */
void net_receive_give_back(struct net_receiver *receiver);

#endif
