/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A network device of one pair of queues, and its driver, for tests of where frames go: what the
 * driver sends is one buffer at SENT, and what it may receive are FRONT_RING_SIZE buffers from
 * RECEIVED on, which are used in their order.
 */
#ifndef TESTS_DEVICE_NET_FRONT_H
#define TESTS_DEVICE_NET_FRONT_H

#include "device/net/net.h"
#include "tests/device/front_end.h"

#define NET_FRONT_RAM (8ull << 20)

#define HEADER	 ((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define SENT	 FRONT_DATA
#define RECEIVED (FRONT_DATA + (512u << 10))
#define BUFFER	 2048u
#define RX	 0
#define TX	 1

extern struct net net;
extern struct front_end front;

/* `drop` are features that are offered, and not to be used. No buffers yet; and all of them. */
void net_front_connect(const struct net_options *options, uint64_t drop);
void net_front_begin(const struct net_options *options, uint64_t drop);
void net_front_end(void);

/* A pattern, as a frame that is for everybody. */
void net_front_fill(uint8_t *bytes, uint32_t len, uint8_t seed);

/* Wait until so many buffers of a ring were answered in all. */
void net_front_answered(uint32_t index, uint16_t nr);

/* What is at SENT; a pattern. It has been taken then. */
void net_front_send(uint32_t len);
void net_front_send_fill(uint32_t len, uint8_t seed);

/* The nth buffer that is received; a pattern in it, and no more. */
const struct virtio_net_hdr_v1 *net_front_header(uint32_t nr);
const uint8_t *net_front_frame(uint32_t nr);
void net_front_gets(uint16_t nr, uint32_t len, uint8_t seed);

/* Frames of many sizes, each of which its other side gets. */
void net_front_exchange(void (*peer_gets)(uint32_t len, uint8_t seed),
			void (*peer_sends)(uint32_t len, uint8_t seed));

/* A port of such a name is none. */
void net_front_refused(const struct net_options *options, const char *name, int err,
		       const char *why);

/* By the device's threads. */
uint64_t net_front_counted(const uint64_t *counter);

#endif
