/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who is in which slot, and whose BAR an address is in. Bus 0 has the slots; each root port in one
 * of them has a bus of its own, with one device.
 *
 * Locks: a port's, then that of the function behind it, then the bus's, which is held for some
 * compares only. A function that is being accessed has a user, and is not freed before that is
 * gone.
 */
#ifndef TRANSPORT_PCI_BUS_H
#define TRANSPORT_PCI_BUS_H

#include <pthread.h>

#include "transport/event.h"
#include "transport/pci/function.h"

#define PCI_BEHIND 32u /* and a slot: the place of what is behind the root port there */
#define PCI_PLACES 64u

/* What others look at of a root port, so that they need no lock but the bus's. */
struct pci_port_view {
	bool is_there;
	bool is_up;	   /* there is a device, and the link to it is up */
	uint8_t bus;	   /* the secondary one; 0: none yet */
	uint16_t control;  /* of the slot: PCI_EXP_SLTCTL_* */
	uint64_t window;   /* where its window for memory was placed; 0: nowhere */
	uint64_t from, to; /* memory that it passes on, as the guest has it; or nothing */
};

struct vas_pci {
	struct transport transport;
	uint64_t ecam;
	uint32_t ecam_size;
	uint64_t window, window_size;
	uint32_t first_event, first_gsi;
	uint32_t hotplug_port, hotplug_event;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t unused;
	uint32_t address; /* of the next access by port */
	struct pci_function *functions[PCI_PLACES];
	bool is_taken[PCI_PLACES]; /* a function is there, or is coming or going */
	struct pci_port_view ports[VAS_PCI_SLOTS];
	uint32_t asked; /* slots whose device the guest is to let go of */
	struct pci_function *ejected[VAS_PCI_SLOTS]; /* which it has; who asked takes them */
	pthread_cond_t answered; /* `asked` has changed, or a port; monotonic time */
	struct pci_function bridge;
};

/* Where a device of this slot is: behind the port there, if there is one. */
static inline uint32_t pci_place(const struct vas_pci *pci, uint32_t slot)
{
	return pci->ports[slot].is_there ? PCI_BEHIND + slot : slot;
}

/*
 * The place that a device has in a slot, which is taken from then on. 0: the first slot that is
 * free, and has no port; VAS_PCI_ANY_PORT: that has one. Or -errno.
 */
int pci_bus_take(struct vas_pci *pci, uint32_t slot);
void pci_bus_give(struct vas_pci *pci, uint32_t place);

/* A function that is to be shown at a place. */
void pci_bus_set_place(struct vas_pci *pci, struct pci_function *function, uint32_t place);

/* Its BARs are placed, and from then on the guest sees it. */
void pci_bus_show(struct vas_pci *pci, struct pci_function *function);

/* Of the window for BARs: where there is room for a window of a port's, or 0. */
uint64_t pci_bus_place_window(struct vas_pci *pci, uint32_t slot, uint64_t size);

/* What is at a place, and a user of it; or NULL. */
struct pci_function *pci_bus_get(struct vas_pci *pci, uint32_t place);
void pci_bus_put(struct pci_function *function);

/* One that is in no slot any more, once nobody uses it. */
void pci_bus_destroy_function(struct pci_function *function);

void pci_bus_set_bar(struct pci_function *function, uint32_t bar, uint64_t at);

/* The first of a slot's event ids, and of its gsis. */
uint32_t pci_bus_events(const struct vas_pci *pci, uint32_t slot);
uint32_t pci_bus_gsis(const struct vas_pci *pci, uint32_t slot);

/* An access to the registers by which the guest is asked for devices. */
int pci_unplug_access(struct vas_pci *pci, const struct vas_io *io);

/* With the bus's lock held: the guest has let go of them. Those that nobody has asked for stay. */
void pci_unplug_eject(struct vas_pci *pci, uint32_t slots);

#endif
