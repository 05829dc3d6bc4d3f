/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * MSI-X: a device's table of messages, in a BAR of its own or a part of one.
 *
 * Each vector is an event of the vas. While the guest wants it, KVM turns its eventfd's count into
 * the message; while it is masked KVM does not know it, and the count that is kept meanwhile is its
 * pending bit. When it is tied again, KVM looks at the count at once.
 */
#ifndef TRANSPORT_PCI_MSIX_H
#define TRANSPORT_PCI_MSIX_H

#include "transport/pci/bus.h"
#include "transport/state.h"

#define MSIX_ENTRY_SIZE	  16u
#define MSIX_CONTROL_BITS (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) /* a guest writes */
#define MSIX_CAP_SIZE	  12u

struct msix_vector {
	struct transport_event irq; /* its message, too */
	uint32_t control;
};

struct msix {
	const struct transport *transport;
	struct msix_vector *vectors;
	uint32_t nr;
	uint16_t control; /* of the capability: PCI_MSIX_FLAGS_* that can be written */
};

/*
 * Vectors with the slot's event ids and gsis, from its `first` on, which are VAS_PCI_MAX_VECTORS.
 * -errno.
 */
int msix_init(struct msix *msix, struct vas_pci *pci, uint32_t slot, uint32_t first, uint32_t nr);
void msix_clean(struct msix *msix);
/* The table is as it was at first. */
void msix_reset(struct msix *msix);

/* The capability, to be put at `at`, and to be written by the guest as far as it may. */
void msix_add_capability(const struct msix *msix, struct pci_function *function, uint32_t at,
			 uint32_t bar, uint32_t table, uint32_t pba);

/* What the guest has written to the message control of the capability. */
void msix_set_control(struct msix *msix, uint16_t control);

/* Of the table, and of the pending bits: any offset and length. */
void msix_table_read(const struct msix *msix, uint64_t offset, void *to, uint32_t len);
void msix_table_write(struct msix *msix, uint64_t offset, const void *from, uint32_t len);
void msix_pba_read(const struct msix *msix, uint64_t offset, void *to, uint32_t len);

/*
 * What the table has, and what is pending: while no queue runs; and into one that no guest has
 * seen. False: it makes no sense.
 */
void msix_save(const struct msix *msix, struct state_writer *to);
bool msix_load(struct msix *msix, struct state_reader *from);

/* The eventfd that raises a vector, or -1: there is no such vector. */
int msix_fd(const struct msix *msix, uint32_t vector);

/* Raise it, if there is one, whatever others have done to its eventfd. */
void msix_raise(const struct msix *msix, uint32_t vector);

#endif
