/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * virtio-pci: what is where in the one BAR, and in the config space.
 *
 *	BAR 0	0x0000	common configuration
 *		0x1000	ISR
 *		0x2000	the device's configuration
 *		0x3000	MSI-X table
 *		0x3800	MSI-X pending bits
 *		0x4000	doorbells, 4 bytes a queue
 */
#ifndef TRANSPORT_PCI_VIRTIO_H
#define TRANSPORT_PCI_VIRTIO_H

#include <linux/virtio_pci.h>

#include "transport/pci/msix.h"
#include "transport/virtio.h"

#define BAR_SIZE      0x8000u
#define COMMON_OFFSET 0x0000u
#define ISR_OFFSET    0x1000u
#define DEVICE_OFFSET 0x2000u
#define TABLE_OFFSET  0x3000u
#define PBA_OFFSET    0x3800u
#define NOTIFY_OFFSET 0x4000u
#define NOTIFY_STEP   4u
#define PART_SIZE     0x1000u

#define NO_VECTOR ((uint16_t)VIRTIO_MSI_NO_VECTOR)

struct virtio_pci {
	struct pci_function function; /* first: the ops cast */
	struct virtio virtio;
	struct msix msix;
	uint16_t config_vector; /* atomic */
	uint16_t *vectors;	/* of the queues */
	uint32_t isr;		/* atomic: the config bit */
};

/* The common configuration: any offset and length; writes are of a field, or half of one. */
void common_read(struct virtio_pci *pci, uint64_t offset, void *to, uint32_t len);
void common_write(struct virtio_pci *pci, uint64_t offset, const void *from, uint32_t len);

/* After a reset of the driver's: nobody has a vector. */
void common_reset(struct virtio_pci *pci);

#endif
