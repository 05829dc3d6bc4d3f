// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A device's registers as bytes: a struct state, then a struct queue_state for each queue. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <vas/consumer.h>

#include "transport/virtio.h"

#define IS_STARTED  1u
#define NEEDS_RESET 2u

#define IS_ENABLED 1u
#define IS_RUNNING 2u

struct state {
	uint64_t features;
	uint32_t device_id, nr_queues;
	uint32_t device_select, driver_select, queue_select;
	uint32_t generation;
	uint32_t status;
	uint32_t flags;
};

struct queue_state {
	uint64_t desc, driver, device;
	uint64_t flags;
	uint32_t size, base;
};

/* ---- saving ------------------------------------------------------------------------------- */

static void save_queue(const struct virtio_queue *queue, struct state_writer *to)
{
	const struct queue_state state = {
		.desc = queue->setup.desc,
		.driver = queue->setup.driver,
		.device = queue->setup.device,
		.flags = (queue->is_enabled ? IS_ENABLED : 0) | (queue->is_paused ? IS_RUNNING : 0),
		.size = queue->setup.size,
		.base = queue->setup.base,
	};

	state_put(to, &state, sizeof(state));
}

void virtio_save(struct virtio *virtio, struct state_writer *to)
{
	uint8_t status = virtio_status(virtio);
	const struct state state = {
		.features = virtio->features,
		.device_id = virtio->server->device_id,
		.nr_queues = virtio->server->nr_queues,
		.device_select = virtio->device_select,
		.driver_select = virtio->driver_select,
		.queue_select = virtio->queue_select,
		.generation = virtio_config_generation(virtio),
		.status = virtio->status,
		.flags = (virtio->is_started || virtio->has_come ? IS_STARTED : 0) |
			 (status & VIRTIO_CONFIG_S_NEEDS_RESET ? NEEDS_RESET : 0),
	};
	uint32_t i;

	state_put(to, &state, sizeof(state));
	for (i = 0; i < state.nr_queues; i++)
		save_queue(&virtio->queues[i], to);
}

/* ---- loading ------------------------------------------------------------------------------ */

static int no_sense(const struct virtio *virtio)
{
	return vas_error_set(-EPROTO, "the registers of the device \"%s\" make no sense",
			     virtio->server->name);
}

static int load_queue(struct virtio *virtio, struct virtio_queue *queue, struct state_reader *from)
{
	struct queue_state state;

	if (!state_get(from, &state, sizeof(state)) || state.flags & ~(IS_ENABLED | IS_RUNNING))
		return no_sense(virtio);
	queue->setup.desc = state.desc;
	queue->setup.driver = state.driver;
	queue->setup.device = state.device;
	queue->setup.size = state.size;
	queue->setup.base = state.base;
	queue->is_enabled = state.flags & IS_ENABLED;
	queue->is_paused = state.flags & IS_RUNNING;
	queue->setup.flags = queue->is_paused ? 0 : VAS_VIRTIO_QUEUE_NEW;
	return 0;
}

static int check_device(const struct virtio *virtio, const struct state *state)
{
	const struct vas_virtio_server *server = virtio->server;

	if (state->device_id != server->device_id || state->nr_queues != server->nr_queues)
		return vas_error_set(-EINVAL,
				     "the guest's device is of virtio's kind %u and has %u queues; "
				     "\"%s\" is of kind %u and has %u",
				     state->device_id, state->nr_queues, server->name,
				     server->device_id, server->nr_queues);
	if (state->status > UINT8_MAX || state->flags & ~(IS_STARTED | NEEDS_RESET))
		return no_sense(virtio);
	return 0;
}

static int check_features(struct virtio *virtio)
{
	if (!(virtio->status & VIRTIO_CONFIG_S_FEATURES_OK) || virtio_accepts(virtio))
		return 0;
	return vas_error_set(-EOPNOTSUPP, "the guest uses features that the device \"%s\" has not",
			     virtio->server->name);
}

/*
 * A driver that has read one half of something in the config space finds another generation as it
 * has read the other half.
 */
static void load_registers(struct virtio *virtio, const struct state *state)
{
	virtio->features = state->features;
	virtio->device_select = state->device_select;
	virtio->driver_select = state->driver_select;
	virtio->queue_select = state->queue_select;
	virtio->generation += state->generation + 1 - virtio_config_generation(virtio);
	virtio->status = (uint8_t)state->status;
	virtio->has_come = state->flags & IS_STARTED;
	if (state->flags & NEEDS_RESET)
		__atomic_fetch_or(&virtio->told, VAS_VIRTIO_NEEDS_RESET, __ATOMIC_RELEASE);
}

int virtio_load(struct virtio *virtio, struct state_reader *from)
{
	struct state state;
	uint32_t i;
	int err;

	if (virtio->status)
		return vas_error_set(-EINVAL, "a driver has seen the device \"%s\" already",
				     virtio->server->name);
	if (!state_get(from, &state, sizeof(state)))
		return no_sense(virtio);
	err = check_device(virtio, &state);
	if (err)
		return err;
	load_registers(virtio, &state);
	for (i = 0; i < state.nr_queues && !err; i++)
		err = load_queue(virtio, &virtio->queues[i], from);
	if (!err && !virtio_is_sound(virtio))
		err = no_sense(virtio);
	if (!err)
		err = check_features(virtio);
	if (!err && virtio->server->ops->status)
		virtio->server->ops->status(virtio->server, virtio->status);
	return err;
}
