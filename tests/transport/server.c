// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/transport/server.h"

#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "the transport breaks a rule: %s\n", what);
	abort();
}

static struct server *of(struct vas_virtio_server *server)
{
	return (struct server *)server;
}

static void server_read(struct vas_virtio_server *server, uint32_t offset, void *to, uint32_t len)
{
	must(len && offset < SERVER_CONFIG && len <= SERVER_CONFIG - offset, "a read in the space");
	memcpy(to, of(server)->config + offset, len);
}

static void server_write(struct vas_virtio_server *server, uint32_t offset, const void *from,
			 uint32_t len)
{
	must(len && offset < SERVER_CONFIG && len <= SERVER_CONFIG - offset,
	     "a write in the space");
	memcpy(of(server)->config + offset, from, len);
}

static uint32_t server_generation(struct vas_virtio_server *server)
{
	return of(server)->generation;
}

static int server_accept(struct vas_virtio_server *server, uint64_t features)
{
	must(!(features & ~server->features), "what is accepted was offered");
	must(!of(server)->is_started, "features are accepted before the start");
	of(server)->accepted = features;
	return of(server)->accept_result;
}

static int server_start(struct vas_virtio_server *server, uint64_t features)
{
	must(!of(server)->is_started, "a device starts once");
	must(features == of(server)->accepted, "features are those that were accepted");
	of(server)->features = features;
	of(server)->is_started = !of(server)->start_result;
	return of(server)->start_result;
}

static int server_queue_start(struct vas_virtio_server *server, uint32_t index,
			      const struct vas_virtio_queue *queue)
{
	must(of(server)->is_started, "queues start after the device");
	must(index < server->nr_queues && !of(server)->runs[index], "a queue starts once");
	must(queue->size && queue->size <= server->queue_size, "sizes are checked");
	must(queue->kick_fd >= 0, "there is a doorbell");
	of(server)->queues[index] = *queue;
	of(server)->nr_queue_starts++;
	of(server)->runs[index] = !of(server)->queue_result;
	return of(server)->queue_result;
}

static void server_queue_stop(struct vas_virtio_server *server, uint32_t index, uint32_t *base)
{
	must(index < server->nr_queues && of(server)->runs[index], "what runs is stopped");
	of(server)->runs[index] = false;
	*base = of(server)->base;
}

static bool server_queue_kick(struct vas_virtio_server *server, uint32_t index)
{
	must(index < server->nr_queues && of(server)->runs[index], "what runs is kicked");
	of(server)->nr_kicks[index]++;
	return !of(server)->refuses_kicks;
}

static void server_reset(struct vas_virtio_server *server)
{
	uint32_t i;

	for (i = 0; i < server->nr_queues; i++)
		of(server)->runs[i] = false;
	of(server)->is_started = false;
	of(server)->nr_resets++;
}

static void server_status(struct vas_virtio_server *server, uint8_t status)
{
	of(server)->status = status;
}

void server_init(struct server *server)
{
	static const struct vas_virtio_ops ops = {
		.config_read = server_read,
		.config_write = server_write,
		.config_generation = server_generation,
		.accept = server_accept,
		.start = server_start,
		.queue_start = server_queue_start,
		.queue_stop = server_queue_stop,
		.reset = server_reset,
		.status = server_status,
	};

	*server = (struct server){
		.server = {
			.ops = &ops,
			.name = "sample",
			.device_id = 2,
			.nr_queues = SERVER_QUEUES,
			.queue_size = SERVER_QUEUE_SIZE,
			.config_size = SERVER_CONFIG,
			.features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_RING_PACKED | 3,
		},
	};
}

void server_take_kicks(struct server *server)
{
	server->ops = *server->server.ops;
	server->ops.queue_kick = server_queue_kick;
	server->server.ops = &server->ops;
}
