/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A root port: a bridge to a bus of its own, which is one slot for one device. A device that comes
 * or goes is told to the guest by the port's slot registers (PCI Express Base Specification, "PCI
 * Express Hot-Plug"):
 *
 *	comes		PDS, PDC ---> interrupt; the guest switches the slot's power on, which
 *			brings the link up: DLLLA, DLLSC; it finds the device
 *	is asked for	ABP ---> interrupt: the attention button; the guest lets go of the device,
 *			switches power and power indicator off, and the slot is empty: PDC
 *	is removed	PDS, PDC, DLLSC ---> interrupt
 *
 * The link is up while there is a device, the slot has power, and the guest neither disables the
 * link nor resets the bus. A device whose link goes down is reset.
 *
 * While no driver has enabled hot-plug interrupts, the slot's power goes by whether there is a
 * device, so that one is found which is there before the guest.
 */
#ifndef TRANSPORT_PCI_PORT_H
#define TRANSPORT_PCI_PORT_H

#include "transport/pci/bus.h"

#define PCI_PORT_WINDOW (2u << 20)		  /* for the BARs behind it, aligned to 1 MiB */
#define PCI_PORT_VECTOR (VAS_PCI_MAX_VECTORS - 1) /* of the slot's; those before are the device's */

/* A device has come or gone behind it. */
void pci_port_update(struct vas_pci *pci, uint32_t slot);

/* Press the attention button, for a device that is there. */
void pci_port_press(struct vas_pci *pci, uint32_t slot);
/* It was pressed, and that is taken back, if the guest has not gone too far. */
void pci_port_unpress(struct vas_pci *pci, uint32_t slot);

/* With the bus's lock held. Whether a driver is there that heeds the button, and not busy. */
bool pci_port_may_press(const struct pci_port_view *port);
/* Whether the guest has switched the slot off. */
bool pci_port_is_off(const struct pci_port_view *port);

/* The capability that a function has which is a part of PCI Express. type: PCI_EXP_TYPE_* */
void pci_add_express(struct pci_function *function, uint32_t at, uint32_t type);

#endif
