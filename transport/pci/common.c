// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The common configuration of virtio-pci. */
#include <string.h>

#include "transport/pci/virtio.h"

/* As in virtio 1.2: <linux/virtio_pci.h> has the end of it in newer versions only. */
struct common {
	struct virtio_pci_common_cfg first;
	uint16_t queue_notif_config_data;
	uint16_t queue_reset;
};

#define SIZE 0x3cu

_Static_assert(sizeof(struct common) >= SIZE, "all of virtio 1.2");

/* ---- reading ------------------------------------------------------------------------------ */

static void read_queue(struct virtio_pci *pci, struct common *common)
{
	const struct virtio_queue *queue = virtio_selected(&pci->virtio);
	struct virtio_pci_common_cfg *first = &common->first;

	if (!queue)
		return; /* a size of 0 says so */
	first->queue_size = (uint16_t)queue->setup.size;
	first->queue_msix_vector = pci->vectors[pci->virtio.queue_select];
	first->queue_enable = queue->is_enabled;
	first->queue_notify_off = (uint16_t)pci->virtio.queue_select;
	first->queue_desc_lo = (uint32_t)queue->setup.desc;
	first->queue_desc_hi = (uint32_t)(queue->setup.desc >> 32);
	first->queue_avail_lo = (uint32_t)queue->setup.driver;
	first->queue_avail_hi = (uint32_t)(queue->setup.driver >> 32);
	first->queue_used_lo = (uint32_t)queue->setup.device;
	first->queue_used_hi = (uint32_t)(queue->setup.device >> 32);
	common->queue_notif_config_data = (uint16_t)pci->virtio.queue_select;
}

void common_read(struct virtio_pci *pci, uint64_t offset, void *to, uint32_t len)
{
	struct virtio *virtio = &pci->virtio;
	struct common common = {
		.first = {
			.device_feature_select = virtio->device_select,
			.device_feature = virtio_device_features(virtio),
			.guest_feature_select = virtio->driver_select,
			.guest_feature = virtio_driver_features(virtio),
			.msix_config = pci->config_vector,
			.num_queues = (uint16_t)virtio->server->nr_queues,
			.device_status = virtio_status(virtio),
			.config_generation = (uint8_t)virtio_config_generation(virtio),
			.queue_select = (uint16_t)virtio->queue_select,
		},
	};

	read_queue(pci, &common);
	memset(to, 0, len);
	if (offset < SIZE)
		memcpy(to, (const char *)&common + offset,
		       len < SIZE - offset ? len : SIZE - offset);
}

/* ---- writing ------------------------------------------------------------------------------ */

static uint16_t checked_vector(const struct virtio_pci *pci, uint32_t vector)
{
	return vector < pci->msix.nr ? (uint16_t)vector : NO_VECTOR;
}

static void set_queue_vector(struct virtio_pci *pci, uint32_t vector)
{
	struct virtio_queue *queue = virtio_selected(&pci->virtio);
	uint16_t checked = checked_vector(pci, vector);

	if (!queue || pci->vectors[pci->virtio.queue_select] == checked)
		return;
	pci->vectors[pci->virtio.queue_select] = checked;
	virtio_queue_restart(&pci->virtio, queue);
}

static void set_status(struct virtio_pci *pci, uint32_t status)
{
	virtio_set_status(&pci->virtio, (uint8_t)status);
	if (!status)
		common_reset(pci);
}

/* Addresses, by halves; those of an enabled queue stay. */
static void set_address(struct virtio_pci *pci, uint64_t offset, uint32_t value)
{
	struct vas_virtio_queue *setup = virtio_queue_setup(&pci->virtio);
	uint64_t half = (offset - VIRTIO_PCI_COMMON_Q_DESCLO) / 4;

	if (!setup)
		return;
	if (half < 2)
		set_half(&setup->desc, half & 1, value);
	else if (half < 4)
		set_half(&setup->driver, half & 1, value);
	else
		set_half(&setup->device, half & 1, value);
}

static void write_32(struct virtio_pci *pci, uint64_t offset, uint32_t value)
{
	if (offset == VIRTIO_PCI_COMMON_DFSELECT)
		pci->virtio.device_select = value;
	else if (offset == VIRTIO_PCI_COMMON_GFSELECT)
		pci->virtio.driver_select = value;
	else if (offset == VIRTIO_PCI_COMMON_GF)
		virtio_set_driver_features(&pci->virtio, value);
	else if (offset >= VIRTIO_PCI_COMMON_Q_DESCLO && offset <= VIRTIO_PCI_COMMON_Q_USEDHI)
		set_address(pci, offset, value);
}

static void write_queue_16(struct virtio_pci *pci, uint64_t offset, uint32_t value)
{
	struct virtio_queue *queue = virtio_selected(&pci->virtio);
	struct vas_virtio_queue *setup = virtio_queue_setup(&pci->virtio);

	if (offset == VIRTIO_PCI_COMMON_Q_SIZE && setup)
		setup->size = value;
	else if (offset == VIRTIO_PCI_COMMON_Q_ENABLE && queue && value == 1)
		virtio_queue_enable(&pci->virtio, queue);
	else if (offset == offsetof(struct common, queue_reset) && queue && value == 1)
		virtio_queue_reset(&pci->virtio, queue);
}

static void write_16(struct virtio_pci *pci, uint64_t offset, uint32_t value)
{
	if (offset == VIRTIO_PCI_COMMON_MSIX)
		__atomic_store_n(&pci->config_vector, checked_vector(pci, value), __ATOMIC_RELAXED);
	else if (offset == VIRTIO_PCI_COMMON_Q_SELECT)
		pci->virtio.queue_select = value;
	else if (offset == VIRTIO_PCI_COMMON_Q_MSIX)
		set_queue_vector(pci, value);
	else
		write_queue_16(pci, offset, value);
}

void common_write(struct virtio_pci *pci, uint64_t offset, const void *from, uint32_t len)
{
	uint32_t value = 0;

	if (offset >= SIZE || (len != 8 && offset % len))
		return;
	if (len == 8 && offset % 4 == 0) { /* an address */
		common_write(pci, offset, from, 4);
		common_write(pci, offset + 4, (const char *)from + 4, 4);
		return;
	}
	memcpy(&value, from, len < 4 ? len : 4);
	if (len == 4)
		write_32(pci, offset, value);
	else if (len == 2)
		write_16(pci, offset, value);
	else if (len == 1 && offset == VIRTIO_PCI_COMMON_STATUS)
		set_status(pci, value);
}

void common_reset(struct virtio_pci *pci)
{
	uint32_t i;

	__atomic_store_n(&pci->config_vector, NO_VECTOR, __ATOMIC_RELAXED);
	__atomic_store_n(&pci->isr, 0, __ATOMIC_RELAXED);
	for (i = 0; i < pci->virtio.server->nr_queues; i++)
		pci->vectors[i] = NO_VECTOR;
}
