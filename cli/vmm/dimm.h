/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory that is plugged into a running guest. Each DIMM is a file of its own, a backing of the
 * vas, and a region:
 *
 *	QEMU				vas
 *	pc-dimm dimm0, slot 0, addr	region dimm0: gpa, size
 *	  memory-backend-file vas-dimm0	  in backing 1, a memfd
 *
 * A QEMU that starts on a vas that has such regions, after a restore or a move, starts with them.
 */
#ifndef CLI_DIMM_H
#define CLI_DIMM_H

#include "cli/vmm/child.h"
#include "cli/vmm/guest.h"
#include "cli/vmm/qemu.h"

/* 1 if the region is one, and what it is like. */
int dimm_of(const struct vas_region *region, struct qemu_dimm *dimm);

/*
 * Plug a new one: an exit code. *dimm is what it is like. The region is there before the guest
 * hears of it, and after an error neither is.
 */
int dimm_plug(struct guest *guest, uint64_t size, struct qemu_dimm *dimm);

/*
 * Have the guest let go of it: an exit code. If it has not in time, all is as it was, but that it
 * may still do so later.
 */
int dimm_unplug(struct guest *guest, const char *id, uint64_t timeout_ns);

/* For a QEMU that is to start on it: what that inherits and is told of its DIMMs. 0 or -errno. */
int dimm_start(struct vas *vas, struct child *child, struct qemu_more *more);

/*
 * -EBUSY, with vas_error() set: what QEMU has plugged is not what the vas shows. A state that is
 * saved so would lack memory, or be loaded nowhere.
 */
int dimm_check(struct qmp *qmp, struct vas *vas);

#endif
