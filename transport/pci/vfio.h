/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A physical PCI device, as VFIO has it, on the bus of a guest.
 *
 *	config space	BARs, ROM, MSI, MSI-X, the interrupt's pin and line are ours; the links
 *			between capabilities too, so that the guest sees those that are known here.
 *			All else is the device's, as vfio-pci lets it be seen and written.
 *	BARs		each access is passed on; the MSI-X table and its pending bits are ours
 *	interrupts	one kind at a time: VFIO raises events of the vas, KVM takes them
 *
 *	vfio.c		beginning and end, accesses
 *	vfio_config.c	what is ours in the config space
 *	vfio_irq.c	interrupts
 */
#ifndef TRANSPORT_PCI_VFIO_H
#define TRANSPORT_PCI_VFIO_H

#include "transport/pci/msix.h"

/* A slot's event ids and gsis behind those of the vectors. */
#define VFIO_MAX_VECTORS (VAS_PCI_MAX_VECTORS - 1)
#define VFIO_MSI_GSI	 (VAS_PCI_MAX_VECTORS - 1)
#define VFIO_MSI_EVENT	 (VAS_PCI_MAX_VECTORS - 1)
#define VFIO_LINE_EVENT	 VAS_PCI_MAX_VECTORS

enum vfio_interrupt { VFIO_NOTHING, VFIO_LINE, VFIO_MSI, VFIO_MSIX };

struct vfio_region {
	uint64_t offset, size; /* of the device's fd */
};

struct vfio_pci {
	struct pci_function function; /* first: the ops cast */
	char name[VAS_REGION_NAME_LEN];
	int fd;
	struct vfio_region config, bars[PCI_NR_BARS];
	bool is_ours[PCI_CFG_SPACE_SIZE]; /* bytes of the config space */

	struct msix msix; /* nr 0: none */
	uint32_t msix_cap, table_bar, table_offset, pba_bar, pba_offset;
	struct transport_event msi; /* its id 0: none */
	uint32_t msi_cap;
	struct transport_event line;   /* likewise */
	enum vfio_interrupt interrupt; /* what VFIO raises now */
};

/* Read the config space, and make what is ours of it. -errno. */
int vfio_config_init(struct vfio_pci *vfio, uint32_t gsi);
void vfio_config_before_read(struct pci_function *function, uint32_t offset, uint32_t len);
void vfio_config_after_write(struct pci_function *function, uint32_t offset, uint32_t len);

/* Have VFIO raise what the guest has enabled. */
void vfio_irq_update(struct vfio_pci *vfio);
/* The message of the MSI capability has changed. */
void vfio_irq_set_message(struct vfio_pci *vfio, uint64_t addr, uint32_t data);
void vfio_irq_stop(struct vfio_pci *vfio);

#endif
