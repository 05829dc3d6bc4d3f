/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* vhost-net with a tap, and a packet socket on the host's side of it. Frames are told by a seed. */
#ifndef TESTS_CONSUMER_VHOST_TAP_H
#define TESTS_CONSUMER_VHOST_TAP_H

#include "tests/consumer/vhost/traffic.h"

#define TAP_FEATURES (1ull << 32) /* VIRTIO_F_VERSION_1 */
#define TAP_HEADER   12		  /* of virtio-net, before each frame */

struct net {
	struct traffic t;
	int tap;
	int socket; /* on the host's side of the tap */
};

void net_open(struct net *net);
void net_close(struct net *net);

/* The guest sends: by a buffer at gpa, of which *at is where this process has it. */
void net_post(struct net *net, uint64_t gpa, char *at, uint8_t seed);
/* The next frame that the guest has sent. */
void net_check_sent(const struct net *net, uint8_t seed);
/* The host sends, and the guest has it in the buffer that it has offered. */
void net_inject(const struct net *net, uint8_t seed);
void net_check_received(struct net *net, const char *at, uint8_t seed);
/* Both ways, by a page at gpa. */
void net_exchange(struct net *net, uint64_t gpa, char *at, uint8_t seed);

#endif
