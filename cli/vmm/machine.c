// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/plan.h"

#include <string.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* As QEMU 7.2 does it: 'info mtree -f' at both sides of each size is a test. */
static const struct machine machines[] = {
	{ "pc", "pc-i440fx-", 3584 * MIB, 3 * GIB, 0 },
	{ "q35", "pc-q35-", 2816 * MIB, 2 * GIB, 0 },
	{ "microvm", NULL, 3 * GIB + 1, 3 * GIB, 0 },
	{ "virt", "virt-", UINT64_MAX, UINT64_MAX, GIB }, /* of aarch64 */
	{ "flat", NULL, UINT64_MAX, UINT64_MAX, 0 },
};

int machine_is_pc(const struct machine *machine)
{
	return machine->prefix && !machine->base;
}

uint64_t machine_device_memory(const struct machine *machine, uint64_t memory)
{
	uint64_t end = machine->base + memory;

	if (memory >= machine->split_from)
		end = 4 * GIB + memory - machine->below;
	else if (machine_is_pc(machine))
		end = 4 * GIB;
	return (end + GIB - 1) & ~(GIB - 1);
}

const char machine_names[] = "pc, q35, microvm, virt or flat";

const struct machine *machine_by_name(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		const struct machine *machine = &machines[i];
		size_t prefix = machine->prefix ? strlen(machine->prefix) : 0;

		if (len == strlen(machine->name) && !memcmp(name, machine->name, len))
			return machine;
		/* Up to version 1.7, the split was another. */
		if (prefix && len > prefix + 2 && !memcmp(name, machine->prefix, prefix) &&
		    memcmp(name + prefix, "1.", 2))
			return machine;
	}
	return NULL;
}
