// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/vsock/vsock.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "device/listener.h"
#include "device/queue.h"
#include "device/stream.h"
#include "device/vsock/connection.h"

#define SEGMENTS 64u
#define HEADER	 ((uint32_t)sizeof(struct virtio_vsock_hdr))

enum { QUEUE_RX, QUEUE_TX, QUEUE_EVENT, NR_QUEUES };

struct server {
	struct vsock *vsock;
	struct device_queue *queue;
	struct vas_virtq_segment segments[SEGMENTS];
	struct vas_virtq_chain chain;
	struct vas_virtq_burst burst; /* of that chain */
	struct vsock_packet packet;
};

/* ---- from the guest ----------------------------------------------------------------------- */

static int read_packet(struct server *server)
{
	const struct memory *memory = server->queue->memory;
	struct stream out = stream_out(&server->chain);
	struct virtio_vsock_hdr *header = &server->packet.header;

	if (server->chain.len_out < HEADER || stream_read(&out, memory, header, HEADER))
		return -EPROTO;
	if (header->op != VIRTIO_VSOCK_OP_RW)
		header->len = 0;
	if (header->len > VSOCK_MAX_PAYLOAD || header->len > server->chain.len_out - HEADER)
		return -EPROTO;
	return stream_read(&out, memory, server->packet.bytes, header->len);
}

static void take(struct server *server)
{
	struct vas_virtq_answer answer = { server->chain.head, server->chain.nr_descs, 0 };

	if (read_packet(server)) {
		device_queue_abandon(server->queue);
		return;
	}
	pthread_mutex_lock(&server->vsock->lock);
	vsock_take(server->vsock, &server->packet);
	pthread_mutex_unlock(&server->vsock->lock);
	device_queue_answer(server->queue, &answer, 1);
}

static void serve_tx(struct server *server)
{
	for (;;)
		if (device_queue_next(server->queue, &server->chain))
			take(server);
		else if (device_queue_is_stopping(server->queue))
			return;
		else
			device_queue_idle(server->queue, -1);
}

/* ---- to the guest ------------------------------------------------------------------------- */

/* Into a buffer that was looked at: it is taken only for a packet. */
static bool give(struct server *server)
{
	const struct vas_virtq_chain *chain = &server->chain;
	const struct vsock_packet *packet = &server->packet;
	struct stream in = stream_in(chain);
	struct vas_virtq_answer answer = { chain->head, chain->nr_descs, 0 };
	bool is_there;

	if (chain->nr_out || chain->len_in <= HEADER) {
		device_queue_break(server->queue);
		return false;
	}
	pthread_mutex_lock(&server->vsock->lock);
	vsock_poll(server->vsock);
	is_there = vsock_give(server->vsock, &server->packet, (uint32_t)chain->len_in - HEADER);
	pthread_mutex_unlock(&server->vsock->lock);
	if (!is_there)
		return false;
	answer.len = HEADER + packet->header.len;
	device_queue_take(server->queue, chain, 1);
	if (stream_write(&in, server->queue->memory, &packet->header, HEADER) ||
	    stream_write(&in, server->queue->memory, packet->bytes, packet->header.len)) {
		device_queue_abandon(server->queue);
		return false;
	}
	device_queue_answer(server->queue, &answer, 1);
	return true;
}

static void serve_rx(struct server *server)
{
	device_queue_give_back(server->queue, &server->chain);
	while (!device_queue_is_stopping(server->queue))
		if (!device_queue_peek(server->queue, &server->burst))
			device_queue_idle(server->queue, -1);
		else if (!give(server))
			device_queue_wait(server->queue, server->vsock->epoll);
}

/* ---- events ------------------------------------------------------------------------------- */

/* Its connections ended with the process that had them. */
static void tell_reset(struct server *server)
{
	const struct virtio_vsock_event event = { .id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET };
	struct vas_virtq_answer answer = { server->chain.head, server->chain.nr_descs,
					   sizeof(event) };
	struct stream in = stream_in(&server->chain);

	if (stream_write(&in, server->queue->memory, &event, sizeof(event))) {
		device_queue_abandon(server->queue);
		return;
	}
	device_queue_answer(server->queue, &answer, 1);
	server->queue->is_inherited = false;
}

/* Where there is a front end, it is the VMM that tells the driver. */
static void serve_event(struct server *server)
{
	struct device_queue *queue = server->queue;

	while (!device_queue_is_stopping(queue))
		if (!queue->is_inherited) {
			device_queue_leave(queue);
			device_queue_wait(queue, -1);
		} else if (device_queue_next(queue, &server->chain)) {
			tell_reset(server);
		} else {
			device_queue_idle(queue, -1);
		}
}

/* ---- the device --------------------------------------------------------------------------- */

static int vsock_queue(struct vas_device *device, struct device_queue *queue)
{
	struct server *server;

	server = malloc(sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->vsock = (struct vsock *)device;
	server->queue = queue;
	server->chain.segments = server->segments;
	server->chain.max_segments = SEGMENTS;
	server->burst = (struct vas_virtq_burst){
		.chains = &server->chain,
		.segments = server->segments,
		.max_chains = 1,
		.max_segments = SEGMENTS,
	};
	if (queue->index == QUEUE_RX)
		serve_rx(server);
	else if (queue->index == QUEUE_TX)
		serve_tx(server);
	else
		serve_event(server);
	free(server);
	return 0;
}

static int vsock_start(struct vas_device *device, uint64_t features)
{
	(void)device;
	(void)features;
	return 0;
}

/* Connections go on: queues stand still whenever the guest's memory changes. */
static void vsock_stop(struct vas_device *device)
{
	(void)device;
}

static void vsock_reset(struct vas_device *device)
{
	struct vsock *vsock = (struct vsock *)device;

	pthread_mutex_lock(&vsock->lock);
	vsock_connections_close(vsock);
	pthread_mutex_unlock(&vsock->lock);
}

static void vsock_config(struct vas_device *device, uint32_t offset, void *to, uint32_t len)
{
	const struct vsock *vsock = (const struct vsock *)device;
	const struct virtio_vsock_config config = { .guest_cid = vsock->cid };

	vas_device_copy_config(&config, sizeof(config), offset, to, len);
}

static const struct vas_device_ops vsock_ops = {
	.start = vsock_start,
	.stop = vsock_stop,
	.reset = vsock_reset,
	.config = vsock_config,
	.queue = vsock_queue,
};

int vsock_open(struct vsock *vsock, const struct vsock_options *options)
{
	int err;

	*vsock = (struct vsock){
		.device = {
			.ops = &vsock_ops,
			.kind = VIRTIO_ID_VSOCK,
			.max_queues = NR_QUEUES,
			.queue_size = options->queue_size,
		},
		.cid = options->cid,
		.path = options->path,
		.epoll = -1,
		.wake = -1,
	};
	if (options->cid < VSOCK_MIN_CID || options->cid >= UINT32_MAX)
		return vas_error_set(-EINVAL, "a guest's CID is %u or more, and has 32 bits",
				     VSOCK_MIN_CID);
	/* With room for "_" and a port behind it. */
	vsock->listener = device_listen(options->path, 11);
	if (vsock->listener < 0)
		return vsock->listener;
	pthread_mutex_init(&vsock->lock, NULL);
	err = vsock_connections_init(vsock);
	if (!err)
		return 0;
	vsock_close(vsock);
	return vas_error_set(err, "no memory for connections");
}

void vsock_close(struct vsock *vsock)
{
	vsock_connections_close(vsock);
	free(vsock->connections);
	close(vsock->listener);
	unlink(vsock->path);
	if (vsock->epoll >= 0)
		close(vsock->epoll);
	if (vsock->wake >= 0)
		close(vsock->wake);
	pthread_mutex_destroy(&vsock->lock);
}
