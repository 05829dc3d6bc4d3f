/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The queue that a guest sends with: chains of a header and a frame. */
#ifndef DEVICE_NET_SEND_H
#define DEVICE_NET_SEND_H

#include "device/net/port.h"

#define NET_SEND_BURST	  64u
#define NET_SEND_SEGMENTS 1024u

struct net_sender {
	struct net *net;
	struct net_pair *pair;
	struct device_queue *queue;
	struct vas_virtq_burst burst;
	struct vas_virtq_chain chains[NET_SEND_BURST];
	struct vas_virtq_segment segments[NET_SEND_SEGMENTS];
	struct vas_virtq_answer answers[NET_SEND_BURST];
	struct iovec iov[NET_FRAME_IOV];
};

void net_sender_init(struct net_sender *sender, struct net *net, struct device_queue *queue);

/* Send what there is, a burst at most: how many frames; 0: there is none. */
uint32_t net_send(struct net_sender *sender);

#endif
