/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The one bus: who is in which slot, and whose BAR an address is in.
 *
 * Locks: a function's, then the bus's, which is held for some compares only. A function that is
 * being accessed has a user, and is not freed before that is gone.
 */
#ifndef TRANSPORT_PCI_BUS_H
#define TRANSPORT_PCI_BUS_H

#include <pthread.h>

#include "transport/event.h"
#include "transport/pci/function.h"

struct vas_pci {
	struct transport transport;
	uint64_t ecam;
	uint64_t window, window_size;
	uint32_t first_event, first_gsi;
	uint32_t hotplug_port, hotplug_event;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t unused;
	uint32_t address; /* of the next access by port */
	struct pci_function *functions[VAS_PCI_SLOTS];
	bool is_taken[VAS_PCI_SLOTS]; /* a function is there, or is coming or going */
	uint32_t asked;		      /* slots whose device the guest is to let go of */
	struct pci_function *ejected[VAS_PCI_SLOTS]; /* which it has; who asked takes them */
	pthread_cond_t answered;		     /* `asked` has changed; monotonic time */
	struct pci_function bridge;
};

/* A slot, which is taken from then on: the one asked for, or for 0 a free one. Or -errno. */
int pci_bus_take_slot(struct vas_pci *pci, uint32_t slot);
void pci_bus_give_slot(struct vas_pci *pci, uint32_t slot);

/* Its BARs are placed, and from then on the guest sees it. */
void pci_bus_show(struct vas_pci *pci, struct pci_function *function);

/* One that is in no slot any more, once nobody uses it. */
void pci_bus_destroy_function(struct pci_function *function);

void pci_bus_set_bar(struct pci_function *function, uint32_t bar, uint64_t at);

/* The first of a slot's event ids, and of its gsis. */
uint32_t pci_bus_events(const struct vas_pci *pci, uint32_t slot);
uint32_t pci_bus_gsis(const struct vas_pci *pci, uint32_t slot);

/* An access to the registers by which the guest is asked for devices. */
int pci_unplug_access(struct vas_pci *pci, const struct vas_io *io);

#endif
