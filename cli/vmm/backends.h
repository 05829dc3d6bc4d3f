/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory back ends that QEMU's arguments name beside the one of all RAM: of NUMA nodes, which have
 * the RAM in parts, and of devices (DIMMs, virtio-mem).
 *
 *	-object ...,id=m0 -numa node,memdev=m0		the vas's own file, from its start
 *	-object ...,id=m1 -numa node,memdev=m1		a backing, region ram-node1
 *	-object ...,id=v -device virtio-mem-pci,memdev=v	a backing, region v
 *
 * Each but the first is a file of its own, since QEMU 7.2 cannot begin in the middle of one.
 */
#ifndef CLI_BACKENDS_H
#define CLI_BACKENDS_H

#include <vas/vas.h>

#include "cli/vmm/child.h"
#include "qemu/backend.h"

struct backend {
	size_t object; /* which argument is the value of its -object */
	size_t device; /* and of the -device that has it; 0: a NUMA node has it */
	int node;
	int fd; /* as QEMU inherits it; -1: it is the vas's own file */
	uint64_t size;
	uint64_t gpa; /* of a device's; 0: not said */
	char region[VAS_REGION_NAME_LEN];
};

struct backends {
	struct backend *at; /* nodes by their number, then devices */
	size_t nr;
	size_t nr_nodes;
};

/* All that argv names: an exit code. backends_clean() is due in any case. */
int backends_read(char *const *argv, struct backends *backends);
void backends_clean(struct backends *backends);

/* Have the child inherit those of the vas: 0 or -errno, with vas_error() set. */
int backends_inherit(struct backends *backends, struct vas *vas, struct child *child);

#endif
