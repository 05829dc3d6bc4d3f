// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "transport/virtio.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#ifndef VIRTIO_F_NOTIFICATION_DATA
#define VIRTIO_F_NOTIFICATION_DATA 38
#endif
#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40
#endif

#define MAX_QUEUE_SIZE 32768u

/* Of which no server knows: they are about registers. */
#define TRANSPORT_FEATURES (1ull << VIRTIO_F_NOTIFICATION_DATA | 1ull << VIRTIO_F_RING_RESET)

/* ---- queues ------------------------------------------------------------------------------- */

static bool is_packed(const struct virtio *virtio)
{
	return virtio->features & 1ull << VIRTIO_F_RING_PACKED;
}

static uint32_t index_of(const struct virtio *virtio, const struct virtio_queue *queue)
{
	return (uint32_t)(queue - virtio->queues);
}

static void place_doorbell(struct virtio *virtio, struct virtio_queue *queue)
{
	if (queue->is_running && !virtio->server->ops->queue_kick &&
	    virtio->ops->doorbell(virtio, index_of(virtio, queue), &queue->doorbell.event))
		transport_event_attach(virtio->transport, &queue->doorbell);
	else
		transport_event_detach(virtio->transport, &queue->doorbell);
}

void virtio_place_doorbells(struct virtio *virtio)
{
	uint32_t i;

	for (i = 0; i < virtio->server->nr_queues; i++)
		place_doorbell(virtio, &virtio->queues[i]);
}

static void needs_reset(struct virtio *virtio)
{
	__atomic_fetch_or(&virtio->told, VAS_VIRTIO_NEEDS_RESET, __ATOMIC_RELEASE);
	virtio->ops->interrupt(virtio);
}

static void queue_start(struct virtio *virtio, struct virtio_queue *queue)
{
	uint32_t index = index_of(virtio, queue);

	queue->setup.kick_fd = queue->doorbell.fd;
	queue->setup.call_fd = virtio->ops->call_fd(virtio, index);
	if (virtio->server->ops->queue_start(virtio->server, index, &queue->setup)) {
		needs_reset(virtio);
		return;
	}
	queue->setup.flags = 0;
	queue->is_running = true;
	place_doorbell(virtio, queue);
}

static void queue_stop(struct virtio *virtio, struct virtio_queue *queue)
{
	if (!queue->is_running)
		return;
	queue->is_running = false;
	place_doorbell(virtio, queue);
	virtio->server->ops->queue_stop(virtio->server, index_of(virtio, queue),
					&queue->setup.base);
}

static void queue_forget(struct virtio *virtio, struct virtio_queue *queue)
{
	queue->is_enabled = queue->is_paused = false;
	queue->setup = (struct vas_virtio_queue){ .size = virtio->server->queue_size,
						  .kick_fd = -1,
						  .call_fd = -1 };
}

struct virtio_queue *virtio_selected(struct virtio *virtio)
{
	return virtio->queue_select < virtio->server->nr_queues ?
		       &virtio->queues[virtio->queue_select] :
		       NULL;
}

struct vas_virtio_queue *virtio_queue_setup(struct virtio *virtio)
{
	struct virtio_queue *queue = virtio_selected(virtio);

	return queue && !queue->is_enabled ? &queue->setup : NULL;
}

static bool size_is_valid(const struct virtio *virtio, uint32_t size)
{
	return size && size <= virtio->server->queue_size &&
	       (is_packed(virtio) || !(size & (size - 1)));
}

void virtio_queue_enable(struct virtio *virtio, struct virtio_queue *queue)
{
	if (queue->is_enabled || !(virtio->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	if (!size_is_valid(virtio, queue->setup.size)) {
		needs_reset(virtio);
		return;
	}
	queue->setup.base = is_packed(virtio) ? VAS_VIRTIO_BASE_PACKED : VAS_VIRTIO_BASE_SPLIT;
	queue->setup.flags = VAS_VIRTIO_QUEUE_NEW;
	queue->is_enabled = true;
	if (virtio->is_started)
		queue_start(virtio, queue);
}

void virtio_queue_disable(struct virtio *virtio, struct virtio_queue *queue)
{
	queue_stop(virtio, queue);
	queue_forget(virtio, queue);
}

void virtio_queue_reset(struct virtio *virtio, struct virtio_queue *queue)
{
	if (virtio->features & 1ull << VIRTIO_F_RING_RESET)
		virtio_queue_disable(virtio, queue);
}

void virtio_queue_restart(struct virtio *virtio, struct virtio_queue *queue)
{
	if (!queue->is_running)
		return;
	queue_stop(virtio, queue);
	queue_start(virtio, queue);
}

void virtio_ring(struct virtio *virtio, uint32_t index)
{
	struct vas_virtio_server *server = virtio->server;

	if (index >= server->nr_queues || !virtio->queues[index].is_running)
		return;
	if (!server->ops->queue_kick || !server->ops->queue_kick(server, index))
		vas_doorbell_ring(virtio->transport->vas, virtio->queues[index].doorbell.event.id);
}

/* ---- status ------------------------------------------------------------------------------- */

static void reset(struct virtio *virtio)
{
	uint32_t i;

	for (i = 0; i < virtio->server->nr_queues; i++)
		queue_stop(virtio, &virtio->queues[i]);
	virtio->server->ops->reset(virtio->server);
	virtio->is_started = virtio->has_come = false;
	virtio->status = 0;
	virtio->features = 0;
	for (i = 0; i < virtio->server->nr_queues; i++)
		queue_forget(virtio, &virtio->queues[i]);
	virtio->device_select = virtio->driver_select = virtio->queue_select = 0;
	__atomic_store_n(&virtio->told, 0, __ATOMIC_RELEASE);
}

bool virtio_accepts(struct virtio *virtio)
{
	struct vas_virtio_server *server = virtio->server;
	uint64_t features = virtio->features & ~TRANSPORT_FEATURES;

	if (features & ~server->features || !(features & 1ull << VIRTIO_F_VERSION_1))
		return false;
	return !server->ops->accept || !server->ops->accept(server, features);
}

static bool server_start(struct virtio *virtio)
{
	struct vas_virtio_server *server = virtio->server;

	virtio->is_started = !server->ops->start ||
			     !server->ops->start(server, virtio->features & ~TRANSPORT_FEATURES);
	if (!virtio->is_started)
		needs_reset(virtio);
	return virtio->is_started;
}

static void start(struct virtio *virtio)
{
	uint32_t i;

	if (!server_start(virtio))
		return;
	for (i = 0; i < virtio->server->nr_queues; i++)
		if (virtio->queues[i].is_enabled)
			queue_start(virtio, &virtio->queues[i]);
}

/* A bit that was set stays until a reset. NEEDS_RESET is the device's. */
static uint8_t new_status(const struct virtio *virtio, uint8_t status)
{
	return virtio->status | (status & ~VIRTIO_CONFIG_S_NEEDS_RESET);
}

void virtio_set_status(struct virtio *virtio, uint8_t status)
{
	uint8_t added = new_status(virtio, status) & ~virtio->status;

	if (!status)
		reset(virtio);
	if (added & VIRTIO_CONFIG_S_FEATURES_OK && !virtio_accepts(virtio))
		added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!((virtio->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	virtio->status |= added;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK)
		start(virtio);
	if (virtio->server->ops->status)
		virtio->server->ops->status(virtio->server, virtio->status);
}

uint8_t virtio_status(const struct virtio *virtio)
{
	uint32_t told = __atomic_load_n(&virtio->told, __ATOMIC_ACQUIRE);

	return virtio->status | (told & VAS_VIRTIO_NEEDS_RESET ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

static void virtio_told(struct vas_virtio_server *server, uint32_t what)
{
	struct virtio *virtio = server->transport;

	if (what & VAS_VIRTIO_NEEDS_RESET)
		__atomic_fetch_or(&virtio->told, VAS_VIRTIO_NEEDS_RESET, __ATOMIC_RELEASE);
	virtio->ops->interrupt(virtio);
}

/* ---- features ----------------------------------------------------------------------------- */

uint32_t virtio_device_features(const struct virtio *virtio)
{
	uint64_t features = virtio->server->features | TRANSPORT_FEATURES;

	return virtio->device_select < 2 ? (uint32_t)(features >> 32 * virtio->device_select) : 0;
}

uint32_t virtio_driver_features(const struct virtio *virtio)
{
	return virtio->driver_select < 2 ?
		       (uint32_t)(virtio->features >> 32 * virtio->driver_select) :
		       0;
}

void virtio_set_driver_features(struct virtio *virtio, uint32_t bits)
{
	if (virtio->driver_select < 2 && !(virtio->status & VIRTIO_CONFIG_S_FEATURES_OK))
		set_half(&virtio->features, virtio->driver_select, bits);
}

/* ---- config space ------------------------------------------------------------------------- */

void virtio_config_read(struct virtio *virtio, uint64_t offset, void *to, uint32_t len)
{
	struct vas_virtio_server *server = virtio->server;
	uint32_t there = offset < server->config_size ? server->config_size - (uint32_t)offset : 0;

	memset(to, 0, len);
	if (there)
		server->ops->config_read(server, (uint32_t)offset, to, len < there ? len : there);
}

void virtio_config_write(struct virtio *virtio, uint64_t offset, const void *from, uint32_t len)
{
	struct vas_virtio_server *server = virtio->server;

	if (offset < server->config_size && len <= server->config_size - offset &&
	    server->ops->config_write)
		server->ops->config_write(server, (uint32_t)offset, from, len);
}

uint32_t virtio_config_generation(struct virtio *virtio)
{
	struct vas_virtio_server *server = virtio->server;

	return virtio->generation +
	       (server->ops->config_generation ? server->ops->config_generation(server) : 0);
}

/* ---- elsewhere ---------------------------------------------------------------------------- */

void virtio_pause(struct virtio *virtio)
{
	uint32_t i;

	for (i = 0; i < virtio->server->nr_queues; i++) {
		struct virtio_queue *queue = &virtio->queues[i];

		queue->is_paused |= queue->is_running;
		queue_stop(virtio, queue);
	}
}

/* What was answered before it came may have been told to nobody: once too often is no harm. */
static void interrupt_all(struct virtio *virtio)
{
	uint32_t i;

	for (i = 0; i < virtio->server->nr_queues; i++)
		if (virtio->queues[i].is_running)
			virtio->ops->call(virtio, i);
	virtio->ops->interrupt(virtio); /* the config space is this server's */
}

void virtio_resume(struct virtio *virtio)
{
	bool has_come = virtio->has_come, is_there = !has_come || server_start(virtio);
	uint32_t i;

	virtio->has_come = false;
	for (i = 0; i < virtio->server->nr_queues; i++) {
		struct virtio_queue *queue = &virtio->queues[i];

		if (queue->is_paused && is_there)
			queue_start(virtio, queue);
		queue->is_paused = false;
	}
	if (has_come && is_there)
		interrupt_all(virtio);
}

/* Two positions in the ring, or an index. */
static bool base_is_sound(const struct virtio *virtio, const struct vas_virtio_queue *setup)
{
	if (!is_packed(virtio))
		return setup->base <= UINT16_MAX;
	return (setup->base & 0x7fff) < setup->size && (setup->base >> 16 & 0x7fff) < setup->size;
}

static bool queue_is_sound(const struct virtio *virtio, const struct virtio_queue *queue)
{
	if (queue->is_paused && (!queue->is_enabled || !virtio->has_come))
		return false;
	return !queue->is_enabled ||
	       (virtio->status & VIRTIO_CONFIG_S_FEATURES_OK &&
		size_is_valid(virtio, queue->setup.size) && base_is_sound(virtio, &queue->setup));
}

bool virtio_is_sound(const struct virtio *virtio)
{
	uint32_t i;

	if (virtio->status & VIRTIO_CONFIG_S_NEEDS_RESET ||
	    (virtio->status & VIRTIO_CONFIG_S_DRIVER_OK &&
	     !(virtio->status & VIRTIO_CONFIG_S_FEATURES_OK)) ||
	    (virtio->has_come && !(virtio->status & VIRTIO_CONFIG_S_DRIVER_OK)))
		return false;
	for (i = 0; i < virtio->server->nr_queues; i++)
		if (!queue_is_sound(virtio, &virtio->queues[i]))
			return false;
	return true;
}

/* ---- the device --------------------------------------------------------------------------- */

static int check_server(const struct vas_virtio_server *server)
{
	const char *fault = NULL;

	if (!server->ops || !server->ops->config_read || !server->ops->queue_start ||
	    !server->ops->queue_stop || !server->ops->reset)
		fault = "it lacks an op that every device has";
	else if (!server->name || !server->device_id)
		fault = "it has no name, or no virtio id";
	else if (!(server->features & 1ull << VIRTIO_F_VERSION_1))
		fault = "it does not offer VIRTIO_F_VERSION_1";
	else if (server->features & TRANSPORT_FEATURES)
		fault = "it offers features that are the transport's";
	else if (server->nr_queues > VAS_VIRTIO_MAX_QUEUES)
		fault = "it has too many queues";
	else if (!server->queue_size || server->queue_size > MAX_QUEUE_SIZE ||
		 server->queue_size & (server->queue_size - 1))
		fault = "the size of its queues is no power of two up to 32768";
	else if (server->told)
		fault = "it has a transport already";
	return fault ? vas_error_set(-EINVAL, "the device \"%s\" makes no sense: %s",
				     server->name ? server->name : "", fault) :
		       0;
}

static int open_doorbell(struct virtio *virtio, uint32_t index, uint32_t id, const char *name)
{
	struct transport_event *doorbell = &virtio->queues[index].doorbell;

	doorbell->event = (struct vas_event){ .kind = VAS_EVENT_DOORBELL, .id = id };
	snprintf(doorbell->event.name, sizeof(doorbell->event.name), "%s.queue%u", name, index);
	return transport_event_open(virtio->transport, doorbell);
}

static void close_doorbells(struct virtio *virtio, uint32_t nr)
{
	while (nr--)
		transport_event_close(virtio->transport, &virtio->queues[nr].doorbell);
}

int virtio_init(struct virtio *virtio, struct vas_virtio_server *server, uint32_t first_event,
		const char *name)
{
	int err = check_server(server);
	uint32_t i;

	if (err)
		return err;
	virtio->queues = calloc(server->nr_queues + 1, sizeof(*virtio->queues));
	if (!virtio->queues)
		return vas_error_set(-ENOMEM, "no memory for %u queues", server->nr_queues);
	virtio->server = server;
	for (i = 0; i < server->nr_queues; i++) {
		err = open_doorbell(virtio, i, first_event + i, name);
		if (err)
			goto err_close;
		queue_forget(virtio, &virtio->queues[i]);
	}
	server->transport = virtio;
	__atomic_store_n(&server->told, virtio_told, __ATOMIC_RELEASE);
	return 0;
err_close:
	close_doorbells(virtio, i);
	free(virtio->queues);
	return err;
}

void virtio_clean(struct virtio *virtio)
{
	/* Nobody begins to tell from here on, and with the reset who had begun has done so. */
	__atomic_store_n(&virtio->server->told, NULL, __ATOMIC_RELEASE);
	reset(virtio);
	close_doorbells(virtio, virtio->server->nr_queues);
	free(virtio->queues);
}
