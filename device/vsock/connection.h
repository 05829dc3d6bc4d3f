/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Connections between ports of the guest and sockets of the host's. All calls are made with the
 * device's lock held, and none waits.
 */
#ifndef DEVICE_VSOCK_CONNECTION_H
#define DEVICE_VSOCK_CONNECTION_H

#include <linux/virtio_vsock.h>

#include "device/vsock/vsock.h"

#define VSOCK_MAX_CONNECTIONS 256u
#define VSOCK_BUFFER	      (64u << 10) /* of what the guest has sent, for each connection */
#define VSOCK_MAX_PAYLOAD     (64u << 10) /* of one packet */
#define VSOCK_MAX_LINE	      32u	  /* "CONNECT N\n" */

/* A packet: its header in private memory, and what of its payload there is. */
struct vsock_packet {
	struct virtio_vsock_hdr header;
	uint8_t bytes[VSOCK_MAX_PAYLOAD];
};

int vsock_connections_init(struct vsock *vsock);
void vsock_connections_close(struct vsock *vsock);

/* The guest has sent a packet, with as many bytes as its header says. */
void vsock_take(struct vsock *vsock, const struct vsock_packet *packet);

/*
 * Look after sockets that have something to say. Then the next packet for the guest, with a payload
 * of at most `room` bytes: true, or there is none.
 */
void vsock_poll(struct vsock *vsock);
bool vsock_give(struct vsock *vsock, struct vsock_packet *packet, uint32_t room);

#endif
