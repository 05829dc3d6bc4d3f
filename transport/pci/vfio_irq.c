// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Interrupts of a VFIO device. An eventfd leads from VFIO to KVM. A line is level-triggered: VFIO
 * masks it as it raises it, until the guest has acknowledged it and KVM says so by the event's
 * second eventfd.
 */
#include <errno.h>
#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "transport/pci/vfio.h"

static uint32_t vfio_index(enum vfio_interrupt interrupt)
{
	switch (interrupt) {
	case VFIO_MSIX:
		return VFIO_PCI_MSIX_IRQ_INDEX;
	case VFIO_MSI:
		return VFIO_PCI_MSI_IRQ_INDEX;
	default:
		return VFIO_PCI_INTX_IRQ_INDEX;
	}
}

static int set_irqs(const struct vfio_pci *vfio, uint32_t index, uint32_t action, const int *fds,
		    uint32_t nr)
{
	size_t size = sizeof(struct vfio_irq_set) + nr * sizeof(*fds);
	struct vfio_irq_set *set = calloc(1, size);
	int result, err = 0;

	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)size;
	set->flags = action | (nr ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->count = nr;
	if (nr)
		memcpy(set->data, fds, nr * sizeof(*fds));
	/* More than 0: so many the host has, and none was taken. */
	result = ioctl(vfio->fd, VFIO_DEVICE_SET_IRQS, set);
	if (result)
		err = result < 0 ? -errno : -ENOSPC;
	free(set);
	return err;
}

/* ---- one kind or another ------------------------------------------------------------------ */

static int start_msix(struct vfio_pci *vfio)
{
	int fds[VFIO_MAX_VECTORS];
	uint32_t i;

	for (i = 0; i < vfio->msix.nr; i++)
		fds[i] = msix_fd(&vfio->msix, i);
	return set_irqs(vfio, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, fds,
			vfio->msix.nr);
}

static int start_msi(struct vfio_pci *vfio)
{
	transport_event_attach(&vfio->function.pci->transport, &vfio->msi);
	return set_irqs(vfio, VFIO_PCI_MSI_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, &vfio->msi.fd,
			1);
}

static int start_line(struct vfio_pci *vfio)
{
	const struct transport *transport = &vfio->function.pci->transport;
	int fd = vas_event_resample_fd(transport->vas, vfio->line.event.id), err;

	err = transport_event_attach(transport, &vfio->line);
	if (!err)
		err = set_irqs(vfio, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER,
			       &vfio->line.fd, 1);
	return err ? err :
		     set_irqs(vfio, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK, &fd, 1);
}

void vfio_irq_stop(struct vfio_pci *vfio)
{
	const struct transport *transport = &vfio->function.pci->transport;

	if (vfio->interrupt != VFIO_NOTHING)
		set_irqs(vfio, vfio_index(vfio->interrupt), VFIO_IRQ_SET_ACTION_TRIGGER, NULL, 0);
	if (vfio->interrupt == VFIO_MSI)
		transport_event_detach(transport, &vfio->msi);
	if (vfio->interrupt == VFIO_LINE)
		transport_event_detach(transport, &vfio->line);
	vfio->interrupt = VFIO_NOTHING;
}

static enum vfio_interrupt wanted(const struct vfio_pci *vfio)
{
	const struct pci_function *function = &vfio->function;

	if (vfio->msix.nr && vfio->msix.control & PCI_MSIX_FLAGS_ENABLE)
		return VFIO_MSIX;
	if (vfio->msi.event.id &&
	    pci_get(function, vfio->msi_cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE)
		return VFIO_MSI;
	return vfio->line.event.id ? VFIO_LINE : VFIO_NOTHING;
}

/* What cannot be started raises nothing, and is tried again with the guest's next change. */
void vfio_irq_update(struct vfio_pci *vfio)
{
	enum vfio_interrupt next = wanted(vfio);
	int err = 0;

	if (next == vfio->interrupt)
		return;
	vfio_irq_stop(vfio);
	if (next == VFIO_MSIX)
		err = start_msix(vfio);
	else if (next == VFIO_MSI)
		err = start_msi(vfio);
	else if (next == VFIO_LINE)
		err = start_line(vfio);
	vfio->interrupt = next;
	if (err)
		vfio_irq_stop(vfio);
}

void vfio_irq_set_message(struct vfio_pci *vfio, uint64_t addr, uint32_t data)
{
	if (vfio->msi.event.addr == addr && vfio->msi.event.data == data)
		return;
	vfio->msi.event.addr = addr;
	vfio->msi.event.data = data;
	if (vfio->interrupt == VFIO_MSI)
		transport_event_attach(&vfio->function.pci->transport, &vfio->msi);
}
