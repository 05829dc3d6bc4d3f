// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* virtio-mmio, version 2: a page of registers, each of 32 bits, and one interrupt. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>
#include <vas/transport.h>

#include "transport/io.h"
#include "transport/virtio.h"

#define MAGIC	    0x74726976u /* "virt" */
#define VERSION	    2u
#define VENDOR	    0x1af4u
#define QUEUE_RESET 0x0c0u /* of 1.2 */

struct vas_virtio_mmio {
	struct virtio virtio; /* first: the ops cast */
	struct transport transport;
	pthread_mutex_t lock; /* the device's */
	struct transport_event irq;
	uint64_t gpa;
	uint32_t config_changed; /* atomic: not acknowledged */
};

/* ---- registers ---------------------------------------------------------------------------- */

static uint32_t interrupt_status(const struct vas_virtio_mmio *mmio)
{
	uint32_t changed = __atomic_load_n(&mmio->config_changed, __ATOMIC_ACQUIRE);

	return (mmio->virtio.is_started ? VIRTIO_MMIO_INT_VRING : 0) |
	       (changed ? VIRTIO_MMIO_INT_CONFIG : 0);
}

static uint32_t read_queue(struct virtio *virtio, uint64_t offset)
{
	const struct virtio_queue *queue = virtio_selected(virtio);

	if (!queue)
		return 0;
	if (offset == VIRTIO_MMIO_QUEUE_NUM_MAX)
		return virtio->server->queue_size;
	return offset == VIRTIO_MMIO_QUEUE_READY ? queue->is_enabled : 0;
}

static uint32_t read_register(struct vas_virtio_mmio *mmio, uint64_t offset)
{
	struct virtio *virtio = &mmio->virtio;

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return virtio->server->device_id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_device_features(virtio);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return interrupt_status(mmio);
	case VIRTIO_MMIO_STATUS:
		return virtio_status(virtio);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return virtio_config_generation(virtio);
	case VIRTIO_MMIO_SHM_LEN_LOW: /* there is no shared memory */
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX;
	default:
		return read_queue(virtio, offset);
	}
}

/* Size and addresses; those of an enabled queue stay. */
static void write_setup(struct virtio *virtio, uint64_t offset, uint32_t value)
{
	struct vas_virtio_queue *setup = virtio_queue_setup(virtio);

	if (!setup)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		setup->size = value;
		return;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&setup->desc, offset == VIRTIO_MMIO_QUEUE_DESC_HIGH, value);
		return;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&setup->driver, offset == VIRTIO_MMIO_QUEUE_AVAIL_HIGH, value);
		return;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&setup->device, offset == VIRTIO_MMIO_QUEUE_USED_HIGH, value);
		return;
	}
}

static void write_queue(struct virtio *virtio, uint64_t offset, uint32_t value)
{
	struct virtio_queue *queue = virtio_selected(virtio);

	if (offset == VIRTIO_MMIO_QUEUE_READY && queue && value == 1)
		virtio_queue_enable(virtio, queue);
	else if (offset == VIRTIO_MMIO_QUEUE_READY && queue && !value)
		virtio_queue_disable(virtio, queue);
	else if (offset == QUEUE_RESET && queue && value == 1)
		virtio_queue_reset(virtio, queue);
	else
		write_setup(virtio, offset, value);
}

static void acknowledge(struct vas_virtio_mmio *mmio, uint32_t value)
{
	if (value & VIRTIO_MMIO_INT_CONFIG)
		__atomic_store_n(&mmio->config_changed, 0, __ATOMIC_RELEASE);
}

static void write_register(struct vas_virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
	struct virtio *virtio = &mmio->virtio;

	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		virtio->device_select = value;
		return;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		virtio->driver_select = value;
		return;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_set_driver_features(virtio, value);
		return;
	case VIRTIO_MMIO_QUEUE_SEL:
		virtio->queue_select = value;
		return;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		virtio_ring(virtio, value & UINT16_MAX); /* above: what is in the queue */
		return;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		acknowledge(mmio, value);
		return;
	case VIRTIO_MMIO_STATUS:
		virtio_set_status(virtio, (uint8_t)value);
		if (!value)
			acknowledge(mmio, VIRTIO_MMIO_INT_CONFIG);
		return;
	default:
		write_queue(virtio, offset, value);
	}
}

static void access_register(struct vas_virtio_mmio *mmio, uint64_t offset, const struct vas_io *io)
{
	bool is_register = io->len == 4 && !(offset & 3);
	uint32_t value = 0;

	if (io->flags & VAS_IO_WRITE && is_register) {
		memcpy(&value, io->data, sizeof(value));
		write_register(mmio, offset, value);
	} else if (!(io->flags & VAS_IO_WRITE)) {
		if (is_register)
			value = read_register(mmio, offset);
		memset(io->data, 0, io->len);
		memcpy(io->data, &value, io->len < sizeof(value) ? io->len : sizeof(value));
	}
}

int vas_virtio_mmio_io(struct vas_virtio_mmio *mmio, const struct vas_io *io)
{
	uint64_t offset = io->addr - mmio->gpa;

	if (!io_is_valid(io) || io->flags & VAS_IO_PORT || offset >= VAS_VIRTIO_MMIO_SIZE)
		return 0;
	pthread_mutex_lock(&mmio->lock);
	if (offset < VIRTIO_MMIO_CONFIG)
		access_register(mmio, offset, io);
	else if (io->flags & VAS_IO_WRITE)
		virtio_config_write(&mmio->virtio, offset - VIRTIO_MMIO_CONFIG, io->data, io->len);
	else
		virtio_config_read(&mmio->virtio, offset - VIRTIO_MMIO_CONFIG, io->data, io->len);
	pthread_mutex_unlock(&mmio->lock);
	return 1;
}

/* ---- ops ---------------------------------------------------------------------------------- */

static int mmio_call_fd(struct virtio *virtio, uint32_t queue)
{
	(void)queue;
	return ((struct vas_virtio_mmio *)virtio)->irq.fd;
}

static void mmio_call(struct virtio *virtio, uint32_t queue)
{
	struct vas_virtio_mmio *mmio = (struct vas_virtio_mmio *)virtio;

	(void)queue;
	vas_irq_raise(mmio->transport.vas, mmio->irq.event.id);
}

/* One address for all, told apart by the value; with VIRTIO_F_NOTIFICATION_DATA by us. */
static bool mmio_doorbell(struct virtio *virtio, uint32_t queue, struct vas_event *event)
{
	const struct vas_virtio_mmio *mmio = (struct vas_virtio_mmio *)virtio;

	event->flags = VAS_EVENT_DATAMATCH;
	event->addr = mmio->gpa + VIRTIO_MMIO_QUEUE_NOTIFY;
	event->len = 4;
	event->data = queue;
	return true;
}

static void mmio_interrupt(struct virtio *virtio)
{
	struct vas_virtio_mmio *mmio = (struct vas_virtio_mmio *)virtio;

	__atomic_store_n(&mmio->config_changed, 1, __ATOMIC_RELEASE);
	vas_irq_raise(mmio->transport.vas, mmio->irq.event.id);
}

static const struct virtio_transport_ops mmio_ops = {
	.call_fd = mmio_call_fd,
	.call = mmio_call,
	.doorbell = mmio_doorbell,
	.interrupt = mmio_interrupt,
};

/* ---- elsewhere ---------------------------------------------------------------------------- */

#define STATE_MAGIC 0x316f696d6d736176ull /* "vasmmio1" */

/* Before the virtio device's registers. */
struct mmio_state {
	uint64_t magic;
	uint64_t config_changed;
};

void vas_virtio_mmio_pause(struct vas_virtio_mmio *mmio)
{
	pthread_mutex_lock(&mmio->lock);
	virtio_pause(&mmio->virtio);
	pthread_mutex_unlock(&mmio->lock);
}

void vas_virtio_mmio_resume(struct vas_virtio_mmio *mmio)
{
	pthread_mutex_lock(&mmio->lock);
	virtio_resume(&mmio->virtio);
	pthread_mutex_unlock(&mmio->lock);
}

int vas_virtio_mmio_save(struct vas_virtio_mmio *mmio, void **bytes, size_t *size)
{
	const struct mmio_state state = {
		.magic = STATE_MAGIC,
		.config_changed = __atomic_load_n(&mmio->config_changed, __ATOMIC_ACQUIRE),
	};
	struct state_writer to = { 0 };

	state_put(&to, &state, sizeof(state));
	pthread_mutex_lock(&mmio->lock);
	virtio_save(&mmio->virtio, &to);
	pthread_mutex_unlock(&mmio->lock);
	if (to.is_lost) {
		free(to.bytes);
		return vas_error_set(-ENOMEM, "no memory for a device's registers");
	}
	*bytes = to.bytes;
	*size = to.size;
	return 0;
}

static int load_locked(struct vas_virtio_mmio *mmio, struct state_reader *from)
{
	struct mmio_state state;
	int err;

	if (!state_get(from, &state, sizeof(state)) || state.magic != STATE_MAGIC ||
	    state.config_changed > 1)
		return vas_error_set(-EPROTO, "these are no registers of virtio-mmio");
	err = virtio_load(&mmio->virtio, from);
	if (!err && from->left)
		err = vas_error_set(-EPROTO, "registers of virtio-mmio, and %zu bytes more",
				    from->left);
	if (!err)
		__atomic_store_n(&mmio->config_changed, (uint32_t)state.config_changed,
				 __ATOMIC_RELEASE);
	return err;
}

int vas_virtio_mmio_load(struct vas_virtio_mmio *mmio, const void *bytes, size_t size)
{
	struct state_reader from = { bytes, size };
	int err;

	pthread_mutex_lock(&mmio->lock);
	err = load_locked(mmio, &from);
	pthread_mutex_unlock(&mmio->lock);
	return err;
}

/* ---- the device --------------------------------------------------------------------------- */

static int open_irq(struct vas_virtio_mmio *mmio, const struct vas_virtio_mmio_options *options)
{
	struct vas_event *event = &mmio->irq.event;
	int err;

	*event = (struct vas_event){ .kind = VAS_EVENT_IRQ,
				     .id = options->first_event,
				     .gsi = options->gsi };
	snprintf(event->name, sizeof(event->name), "%llx.irq", (unsigned long long)mmio->gpa);
	err = transport_event_open(&mmio->transport, &mmio->irq);
	if (err)
		return err;
	err = transport_event_attach(&mmio->transport, &mmio->irq);
	if (err)
		transport_event_close(&mmio->transport, &mmio->irq);
	return err;
}

static int check_options(const struct vas_virtio_mmio_options *options)
{
	if (!options->gpa || options->gpa % VAS_VIRTIO_MMIO_SIZE || options->gpa >> 52 ||
	    !options->first_event || options->first_event > UINT32_MAX - VAS_VIRTIO_MAX_QUEUES - 1)
		return vas_error_set(-EINVAL, "virtio-mmio: a gpa, aligned to its size, and the "
					      "ids of its events are needed");
	return 0;
}

int vas_virtio_mmio_create(struct vas *vas, const struct vas_virtio_mmio_options *options,
			   struct vas_virtio_server *server, struct vas_virtio_mmio **out)
{
	int err = check_options(options);
	struct vas_virtio_mmio *mmio;
	char name[VAS_REGION_NAME_LEN];

	if (err)
		return err;
	mmio = calloc(1, sizeof(*mmio));
	if (!mmio)
		return vas_error_set(-ENOMEM, "no memory for a device");
	pthread_mutex_init(&mmio->lock, NULL);
	mmio->transport = (struct transport){ .vas = vas, .kvm = options->kvm };
	mmio->gpa = options->gpa;
	mmio->virtio.ops = &mmio_ops;
	mmio->virtio.transport = &mmio->transport;
	err = open_irq(mmio, options);
	if (err)
		goto err_free;
	snprintf(name, sizeof(name), "%llx", (unsigned long long)mmio->gpa);
	err = virtio_init(&mmio->virtio, server, options->first_event + 1, name);
	if (err)
		goto err_close;
	*out = mmio;
	return 0;
err_close:
	transport_event_close(&mmio->transport, &mmio->irq);
err_free:
	pthread_mutex_destroy(&mmio->lock);
	free(mmio);
	return err;
}

void vas_virtio_mmio_destroy(struct vas_virtio_mmio *mmio)
{
	if (!mmio)
		return;
	virtio_clean(&mmio->virtio);
	transport_event_close(&mmio->transport, &mmio->irq);
	pthread_mutex_destroy(&mmio->lock);
	free(mmio);
}
