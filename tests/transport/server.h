/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The server of a device that does nothing but remember what it was told, and die of what a
 * transport must not do: ops in a wrong order, queues that make no sense.
 */
#ifndef TESTS_TRANSPORT_SERVER_H
#define TESTS_TRANSPORT_SERVER_H

#include <stdbool.h>

#include <vas/virtio.h>

#define SERVER_QUEUES	  3u
#define SERVER_QUEUE_SIZE 256u
#define SERVER_CONFIG	  24u

struct server {
	struct vas_virtio_server server; /* first: the ops cast */
	uint8_t config[SERVER_CONFIG];
	uint32_t generation;
	int accept_result, start_result, queue_result; /* what the ops return */
	uint32_t base;				       /* what queue_stop() says */

	uint64_t accepted, features;
	bool is_started;
	bool runs[VAS_VIRTIO_MAX_QUEUES];
	struct vas_virtio_queue queues[VAS_VIRTIO_MAX_QUEUES]; /* as last started */
	uint32_t nr_queue_starts, nr_resets;
	uint32_t nr_kicks[VAS_VIRTIO_MAX_QUEUES]; /* by calls */
	bool refuses_kicks;
	struct vas_virtio_ops ops; /* with queue_kick() */
	uint8_t status;
};

/* A block device with SERVER_QUEUES queues and packed rings, or what the caller makes of it. */
void server_init(struct server *server);

/* Doorbells are calls from now on; before the driver starts it. */
void server_take_kicks(struct server *server);

#endif
