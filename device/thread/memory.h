/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A vas as a device's memory: its writable regions, each mapped by a pin. */
#ifndef DEVICE_THREAD_MEMORY_H
#define DEVICE_THREAD_MEMORY_H

#include <vas/vas.h>

#include "device/memory.h"

struct pinned_memory {
	struct memory memory;
	struct vas_mapping *mappings[MEMORY_MAX_REGIONS]; /* the first memory.nr */
};

/* What there is now. -errno, and nothing is mapped. */
int pinned_memory_map(struct pinned_memory *memory, struct vas *vas);
void pinned_memory_unmap(struct pinned_memory *memory);

/* What the owner asks of it: the most urgent request. */
enum vas_request pinned_memory_request(const struct pinned_memory *memory);

/* Nobody writes to it any more. */
void pinned_memory_quiesce(struct pinned_memory *memory);

#endif
