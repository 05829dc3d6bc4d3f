/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory that a running QEMU has beside the RAM that it started with, in devices (DIMMs and the
 * like), plugged and unplugged by its monitor. All return 0 or -errno, with vas_error() set, as in
 * state.h.
 *
 *	plug	object-add memory-backend-file, on an fd that QEMU gets;  device_add pc-dimm
 *	unplug	device_del: the guest is asked, and lets go some time;    object-del
 */
#ifndef QEMU_MEMORY_H
#define QEMU_MEMORY_H

#include <stddef.h>

#include "qemu/qmp.h"

#define QEMU_DIMM_ID_LEN 24

/* One that is there. */
struct qemu_memory_device {
	char id[64]; /* "": it has none */
	uint64_t gpa;
	uint64_t size; /* the most that it can have */
	int slot;      /* of a DIMM; else -1 */
};

/* All of them: the caller frees *list. */
int qemu_memory_devices(struct qmp *qmp, struct qemu_memory_device **list, size_t *nr);

/* One to be plugged, at an address and in a slot of the machine's that nothing has. */
struct qemu_dimm {
	char id[QEMU_DIMM_ID_LEN];
	uint64_t gpa;
	uint64_t size;
	int slot;
};

/* With the bytes of fd, shared. Nothing is plugged after an error. */
int qemu_plug(struct qmp *qmp, const struct qemu_dimm *dimm, int fd);

/*
 * The guest is asked to let go of it; -EREMOTEIO: QEMU refuses, or is waiting for that already.
 * When it is no device any more, qemu_unplug_end() takes the rest.
 */
int qemu_unplug_begin(struct qmp *qmp, const char *id);
int qemu_unplug_end(struct qmp *qmp, const char *id);

/* What qemu_plug() has the bytes of a DIMM in, for a QEMU that starts with it. */
#define QEMU_DIMM_BACKEND(id) "vas-" id

#endif
