// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "transport/pci/virtio.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "transport/pci/port.h"

#define VENDOR		0x1af4u
#define FIRST_DEVICE	0x1040u /* plus the virtio id */
#define EVENTS_DOORBELL 128u	/* of a slot's event ids; those before are vectors */

/* Capabilities. */
#define CAP_COMMON  0x40u
#define CAP_NOTIFY  0x50u
#define CAP_ISR	    0x64u
#define CAP_DEVICE  0x74u
#define CAP_ACCESS  0x84u
#define CAP_MSIX    0x98u
#define CAP_EXPRESS 0xa4u

#define ISR_CONFIG 2u

_Static_assert(EVENTS_DOORBELL >= VAS_PCI_MAX_VECTORS, "vectors come first");
_Static_assert(EVENTS_DOORBELL + VAS_VIRTIO_MAX_QUEUES <= VAS_PCI_EVENT_IDS / VAS_PCI_SLOTS,
	       "a slot's ids");

static struct virtio_pci *of_virtio(struct virtio *virtio)
{
	return (struct virtio_pci *)((char *)virtio - offsetof(struct virtio_pci, virtio));
}

/* ---- the BAR ------------------------------------------------------------------------------ */

static void read_isr(struct virtio_pci *pci, void *to, uint32_t len)
{
	memset(to, 0, len);
	*(uint8_t *)to = (uint8_t)__atomic_exchange_n(&pci->isr, 0, __ATOMIC_RELAXED);
}

static void read_bar(struct pci_function *function, uint32_t bar, uint64_t offset, void *to,
		     uint32_t len)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;

	(void)bar;
	if (offset >= NOTIFY_OFFSET)
		memset(to, 0, len);
	else if (offset >= PBA_OFFSET)
		msix_pba_read(&pci->msix, offset - PBA_OFFSET, to, len);
	else if (offset >= TABLE_OFFSET)
		msix_table_read(&pci->msix, offset - TABLE_OFFSET, to, len);
	else if (offset >= DEVICE_OFFSET)
		virtio_config_read(&pci->virtio, offset - DEVICE_OFFSET, to, len);
	else if (offset >= ISR_OFFSET)
		read_isr(pci, to, len);
	else
		common_read(pci, offset, to, len);
}

static void write_bar(struct pci_function *function, uint32_t bar, uint64_t offset,
		      const void *from, uint32_t len)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;

	(void)bar;
	if (offset >= NOTIFY_OFFSET)
		virtio_ring(&pci->virtio, (uint32_t)(offset - NOTIFY_OFFSET) / NOTIFY_STEP);
	else if (offset >= TABLE_OFFSET && offset < PBA_OFFSET)
		msix_table_write(&pci->msix, offset - TABLE_OFFSET, from, len);
	else if (offset >= DEVICE_OFFSET && offset < TABLE_OFFSET)
		virtio_config_write(&pci->virtio, offset - DEVICE_OFFSET, from, len);
	else if (offset < ISR_OFFSET)
		common_write(pci, offset, from, len);
}

static void bars_moved(struct pci_function *function)
{
	virtio_place_doorbells(&((struct virtio_pci *)function)->virtio);
}

static void reset_device(struct pci_function *function)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;

	virtio_set_status(&pci->virtio, 0);
	common_reset(pci);
	msix_reset(&pci->msix);
}

/* ---- the config space --------------------------------------------------------------------- */

/* The access by config space (VIRTIO_PCI_CAP_PCI_CFG): where in the BAR, or false: nowhere. */
static bool find_access(const struct pci_function *function, uint32_t *offset, uint32_t *len)
{
	*offset = pci_get(function, CAP_ACCESS + offsetof(struct virtio_pci_cap, offset), 4);
	*len = pci_get(function, CAP_ACCESS + offsetof(struct virtio_pci_cap, length), 4);
	return !pci_get(function, CAP_ACCESS + offsetof(struct virtio_pci_cap, bar), 1) &&
	       (*len == 1 || *len == 2 || *len == 4) && *offset < BAR_SIZE && !(*offset % *len);
}

static bool touches_access(uint32_t offset, uint32_t len)
{
	return pci_touches(offset, len,
			   CAP_ACCESS + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data), 4);
}

static void before_read(struct pci_function *function, uint32_t offset, uint32_t len)
{
	uint8_t *data =
		&function->config[CAP_ACCESS + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)];
	uint32_t at, size;

	if (touches_access(offset, len) && find_access(function, &at, &size))
		read_bar(function, 0, at, data, size);
}

static void after_write(struct pci_function *function, uint32_t offset, uint32_t len)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;
	const uint8_t *data =
		&function->config[CAP_ACCESS + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)];
	uint32_t at, size;

	if (pci_touches(offset, len, CAP_MSIX + PCI_MSIX_FLAGS, 2))
		msix_set_control(&pci->msix,
				 (uint16_t)pci_get(function, CAP_MSIX + PCI_MSIX_FLAGS, 2));
	if (touches_access(offset, len) && find_access(function, &at, &size))
		write_bar(function, 0, at, data, size);
}

static void add_capability(struct pci_function *function, uint32_t at, uint8_t type,
			   uint32_t offset, uint32_t length)
{
	struct virtio_pci_notify_cap cap = {
		.cap = {
			.cap_vndr = PCI_CAP_ID_VNDR,
			.cap_len = sizeof(struct virtio_pci_cap),
			.cfg_type = type,
			.offset = offset,
			.length = length,
		},
		.notify_off_multiplier = NOTIFY_STEP,
	};

	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG || type == VIRTIO_PCI_CAP_PCI_CFG)
		cap.cap.cap_len = sizeof(cap);
	if (type == VIRTIO_PCI_CAP_PCI_CFG)
		cap.notify_off_multiplier = 0;
	pci_add_capability(function, at, &cap, cap.cap.cap_len);
}

static void allow_access(struct pci_function *function)
{
	uint8_t *writable = &function->writable[CAP_ACCESS];

	writable[offsetof(struct virtio_pci_cap, bar)] = 0xff;
	memset(&writable[offsetof(struct virtio_pci_cap, offset)], 0xff, 4);
	memset(&writable[offsetof(struct virtio_pci_cap, length)], 0xff, 4);
	memset(&writable[offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)], 0xff, 4);
}

/* What a firmware or a user makes of it; drivers go by the virtio id. */
static uint32_t class_of(uint32_t device_id)
{
	switch (device_id) {
	case VIRTIO_ID_NET:
		return 0x020000;
	case VIRTIO_ID_BLOCK:
		return 0x018000;
	case VIRTIO_ID_CONSOLE:
		return 0x078000;
	default:
		return 0x00ff00;
	}
}

static void fill_config_space(struct virtio_pci *pci)
{
	struct pci_function *function = &pci->function;
	const struct vas_virtio_server *server = pci->virtio.server;
	uint16_t id = (uint16_t)(FIRST_DEVICE + server->device_id);

	pci_function_init(function, VENDOR, id, class_of(server->device_id));
	pci_set(function, PCI_SUBSYSTEM_VENDOR_ID, VENDOR, 2);
	pci_set(function, PCI_SUBSYSTEM_ID, id, 2);
	pci_set_bar(function, 0, BAR_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY);
	add_capability(function, CAP_COMMON, VIRTIO_PCI_CAP_COMMON_CFG, COMMON_OFFSET, PART_SIZE);
	add_capability(function, CAP_NOTIFY, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY_OFFSET, PART_SIZE);
	add_capability(function, CAP_ISR, VIRTIO_PCI_CAP_ISR_CFG, ISR_OFFSET, PART_SIZE);
	add_capability(function, CAP_DEVICE, VIRTIO_PCI_CAP_DEVICE_CFG, DEVICE_OFFSET, PART_SIZE);
	add_capability(function, CAP_ACCESS, VIRTIO_PCI_CAP_PCI_CFG, 0, 0);
	allow_access(function);
	msix_add_capability(&pci->msix, function, CAP_MSIX, 0, TABLE_OFFSET, PBA_OFFSET);
	if (function->is_behind)
		pci_add_express(function, CAP_EXPRESS, PCI_EXP_TYPE_ENDPOINT);
}

/* ---- ops ---------------------------------------------------------------------------------- */

static int pci_call_fd(struct virtio *virtio, uint32_t queue)
{
	const struct virtio_pci *pci = of_virtio(virtio);

	return msix_fd(&pci->msix, pci->vectors[queue]);
}

static void pci_call(struct virtio *virtio, uint32_t queue)
{
	struct virtio_pci *pci = of_virtio(virtio);

	msix_raise(&pci->msix, pci->vectors[queue]);
}

static bool pci_doorbell(struct virtio *virtio, uint32_t queue, struct vas_event *event)
{
	const struct virtio_pci *pci = of_virtio(virtio);

	event->addr = pci->function.bars[0].at + NOTIFY_OFFSET + queue * NOTIFY_STEP;
	return pci->function.bars[0].at;
}

static void pci_interrupt(struct virtio *virtio)
{
	struct virtio_pci *pci = of_virtio(virtio);
	uint16_t vector = __atomic_load_n(&pci->config_vector, __ATOMIC_RELAXED);

	__atomic_store_n(&pci->isr, ISR_CONFIG, __ATOMIC_RELAXED);
	msix_raise(&pci->msix, vector);
}

/* ---- elsewhere ---------------------------------------------------------------------------- */

/* After the virtio device's registers, and before the vectors of queues and of MSI-X. */
struct pci_state {
	uint16_t config_vector;
	uint16_t isr;
};

static void pause_device(struct pci_function *function)
{
	virtio_pause(&((struct virtio_pci *)function)->virtio);
}

static void resume_device(struct pci_function *function)
{
	virtio_resume(&((struct virtio_pci *)function)->virtio);
}

static void save(struct pci_function *function, struct state_writer *to)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;
	const struct pci_state state = {
		.config_vector = __atomic_load_n(&pci->config_vector, __ATOMIC_RELAXED),
		.isr = (uint16_t)__atomic_load_n(&pci->isr, __ATOMIC_RELAXED),
	};

	virtio_save(&pci->virtio, to);
	state_put(to, &state, sizeof(state));
	state_put(to, pci->vectors, pci->virtio.server->nr_queues * sizeof(*pci->vectors));
	msix_save(&pci->msix, to);
}

static bool is_vector(const struct virtio_pci *pci, uint16_t vector)
{
	return vector < pci->msix.nr || vector == NO_VECTOR;
}

static bool load_vectors(struct virtio_pci *pci, struct state_reader *from)
{
	uint32_t i, nr = pci->virtio.server->nr_queues;
	struct pci_state state;

	if (!state_get(from, &state, sizeof(state)) || !is_vector(pci, state.config_vector) ||
	    state.isr & ~ISR_CONFIG || !state_get(from, pci->vectors, nr * sizeof(*pci->vectors)))
		return false;
	for (i = 0; i < nr; i++)
		if (!is_vector(pci, pci->vectors[i]))
			return false;
	__atomic_store_n(&pci->config_vector, state.config_vector, __ATOMIC_RELAXED);
	__atomic_store_n(&pci->isr, state.isr, __ATOMIC_RELAXED);
	return msix_load(&pci->msix, from);
}

static int load(struct pci_function *function, struct state_reader *from)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;
	int err = virtio_load(&pci->virtio, from);

	if (err)
		return err;
	pci->msix.control = pci_get(function, CAP_MSIX + PCI_MSIX_FLAGS, 2) & MSIX_CONTROL_BITS;
	if (load_vectors(pci, from))
		return 0;
	return vas_error_set(-EPROTO, "the interrupts of the device \"%s\" make no sense",
			     pci->virtio.server->name);
}

static void destroy(struct pci_function *function)
{
	struct virtio_pci *pci = (struct virtio_pci *)function;

	virtio_clean(&pci->virtio);
	msix_clean(&pci->msix);
	pthread_mutex_destroy(&function->lock);
	free(pci->vectors);
	free(pci);
}

static const struct virtio_transport_ops transport_ops = {
	.call_fd = pci_call_fd,
	.call = pci_call,
	.doorbell = pci_doorbell,
	.interrupt = pci_interrupt,
};

static const struct pci_function_ops function_ops = {
	.before_read = before_read,
	.after_write = after_write,
	.bars_moved = bars_moved,
	.reset = reset_device,
	.read = read_bar,
	.write = write_bar,
	.pause = pause_device,
	.resume = resume_device,
	.save = save,
	.load = load,
	.destroy = destroy,
};

/* ---- the device --------------------------------------------------------------------------- */

static int init(struct virtio_pci *pci, struct vas_pci *bus, struct vas_virtio_server *server)
{
	const uint32_t slot = pci->function.slot;
	const uint32_t max_vectors =
		pci->function.is_behind ? PCI_PORT_VECTOR : VAS_PCI_MAX_VECTORS;
	uint32_t nr_vectors = server->nr_queues + 1;
	char name[VAS_REGION_NAME_LEN];
	int err;

	if (nr_vectors > max_vectors)
		nr_vectors = max_vectors; /* the driver has some queues share one */
	err = msix_init(&pci->msix, bus, slot, 0, nr_vectors);
	if (err)
		return err;
	pci->virtio.ops = &transport_ops;
	pci->virtio.transport = &bus->transport;
	pci->virtio.server = server;
	common_reset(pci);
	snprintf(name, sizeof(name), "pci%u", slot);
	/* The last: from here on the server tells, by whatever thread, and that interrupts. */
	err = virtio_init(&pci->virtio, server, pci_bus_events(bus, slot) + EVENTS_DOORBELL, name);
	if (err)
		msix_clean(&pci->msix);
	return err;
}

static int create(struct vas_pci *bus, uint32_t place, struct vas_virtio_server *server)
{
	struct virtio_pci *pci = calloc(1, sizeof(*pci));
	int err = -ENOMEM;

	if (!pci)
		return vas_error_set(-ENOMEM, "no memory for a device");
	pci->vectors = calloc(server->nr_queues + 1, sizeof(*pci->vectors));
	pci_bus_set_place(bus, &pci->function, place);
	pci->function.name = server->name;
	pci->function.ops = &function_ops;
	if (pci->vectors)
		err = init(pci, bus, server);
	if (err) {
		free(pci->vectors);
		free(pci);
		return err;
	}
	fill_config_space(pci);
	pci_bus_show(bus, &pci->function);
	return 0;
}

int vas_pci_add_virtio(struct vas_pci *pci, uint32_t slot, struct vas_virtio_server *server)
{
	int place = pci_bus_take(pci, slot), err;

	if (place < 0)
		return place;
	err = create(pci, (uint32_t)place, server);
	if (!err)
		return place % (int)PCI_BEHIND;
	pci_bus_give(pci, (uint32_t)place);
	return err;
}
