/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A function of a PCI device: its config space, and where its BARs are. What a guest may write is a
 * mask over the config space; what that does is up to the function's ops.
 */
#ifndef TRANSPORT_PCI_FUNCTION_H
#define TRANSPORT_PCI_FUNCTION_H

#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <vas/transport.h>

#include "transport/state.h"

#define PCI_NR_BARS 6u

struct pci_function;

/* All but destroy() come with the function's lock held; any may be NULL. */
struct pci_function_ops {
	/* The guest is about to read these bytes of the config space. */
	void (*before_read)(struct pci_function *function, uint32_t offset, uint32_t len);
	/* It has written them, as far as the mask lets it. */
	void (*after_write)(struct pci_function *function, uint32_t offset, uint32_t len);
	/* BARs are elsewhere, or not there: function->bars. */
	void (*bars_moved)(struct pci_function *function);
	/* Its link went down: all but the config space is as it was at first. */
	void (*reset)(struct pci_function *function);
	void (*read)(struct pci_function *function, uint32_t bar, uint64_t offset, void *to,
		     uint32_t len);
	void (*write)(struct pci_function *function, uint32_t bar, uint64_t offset,
		      const void *from, uint32_t len);
	/*
	 * Its queues stand, and go on; its registers behind the config space, which have to be read
	 * and loaded when that is there. 0 or -errno, with vas_error(). All NULL: it cannot move.
	 */
	void (*pause)(struct pci_function *function);
	void (*resume)(struct pci_function *function);
	void (*save)(struct pci_function *function, struct state_writer *to);
	int (*load)(struct pci_function *function, struct state_reader *from);
	/* Nobody uses it any more: free it. */
	void (*destroy)(struct pci_function *function);
};

struct pci_bar {
	uint64_t size; /* a power of two; 0: there is no such BAR, or it is another's upper half */
	uint32_t type; /* the bits of the register that say what it is */
	uint64_t placed; /* where it was at first; 0: nowhere */
	/* Where it is decoded; 0: nowhere. Changed with the bus's lock held, too. */
	uint64_t at;
};

struct pci_function {
	const struct pci_function_ops *ops;
	struct vas_pci *pci;
	const char *name; /* whom errors name */
	uint32_t slot;
	bool is_behind; /* the root port in its slot */
	uint32_t users; /* accesses under way; the bus's lock */
	pthread_mutex_t lock;
	struct pci_bar bars[PCI_NR_BARS];
	uint8_t config[PCI_CFG_SPACE_EXP_SIZE];
	uint8_t writable[PCI_CFG_SPACE_EXP_SIZE]; /* bits that a guest may write */
	uint8_t clearable[PCI_CFG_SPACE_SIZE];	  /* bits of ours, which a guest's 1 clears */
};

/* Of a header of type 0, or what is the same in type 1; class is 24 bits. */
void pci_function_init(struct pci_function *function, uint16_t vendor, uint16_t device,
		       uint32_t class_code);

/* Little endian, without the mask. */
void pci_set(struct pci_function *function, uint32_t offset, uint32_t value, uint32_t len);
uint32_t pci_get(const struct pci_function *function, uint32_t offset, uint32_t len);
/* What a guest may write there. */
void pci_allow(struct pci_function *function, uint32_t offset, uint32_t bits, uint32_t len);

/* Before it is on a bus: a BAR of this size, with bits of PCI_BASE_ADDRESS_*. */
void pci_set_bar(struct pci_function *function, uint32_t bar, uint64_t size, uint32_t type);
/* Put it there; the guest may move it. */
void pci_place_bar(struct pci_function *function, uint32_t bar, uint64_t gpa);

/*
 * Append a capability of len bytes, its first two among them, at `at`: aligned to 4, behind the one
 * before.
 */
void pci_add_capability(struct pci_function *function, uint32_t at, const void *bytes,
			uint32_t len);

/* With its lock held: all that a guest has written is gone. */
void pci_function_reset(struct pci_function *function);

/* The guest's accesses: any offset and length. */
void pci_config_read(struct pci_function *function, uint32_t offset, void *to, uint32_t len);
void pci_config_write(struct pci_function *function, uint32_t offset, const void *from,
		      uint32_t len);

/*
 * The first 256 bytes, in which all is that a guest can write of a function without more. False:
 * they are another function's.
 */
void pci_config_save(const struct pci_function *function, struct state_writer *to);
bool pci_config_load(struct pci_function *function, struct state_reader *from);

static inline bool pci_touches(uint32_t offset, uint32_t len, uint32_t field, uint32_t field_len)
{
	return offset < field + field_len && field < offset + len;
}

#endif
