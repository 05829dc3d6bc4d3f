/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Guest memory to search through: what is resident of it, and the bytes to look for. */
#ifndef VAS_BENCH_HAYSTACK_H
#define VAS_BENCH_HAYSTACK_H

#include <stddef.h>
#include <stdint.h>

#include "guest.h"

#define HAYSTACK_NR_REGIONS 16
#define HAYSTACK_EXTENT	    (4ULL << 20) /* resident, at the start of each region */
#define HAYSTACK_BYTES	    (HAYSTACK_NR_REGIONS * HAYSTACK_EXTENT)

/* 32 bytes, of which every search looks for a beginning. None occurs in a haystack. */
#define HAYSTACK_NEEDLE	    "needle-in-a-haystack-of-64-MiB.."
#define HAYSTACK_MIN_NEEDLE 4

struct haystack {
	struct guest guest;
};

/* Regions are of HAYSTACK_EXTENT at least; what is beyond it is never touched. */
int haystack_create(struct haystack *haystack, uint64_t region_size);
void haystack_destroy(struct haystack *haystack);

/* Puts the needle's first len bytes at the very end of the last extent, or takes them away. */
void haystack_plant(struct haystack *haystack, size_t len);
void haystack_clear(struct haystack *haystack, size_t len);

/* Where haystack_plant() puts it. */
uint64_t haystack_needle_gpa(const struct haystack *haystack, size_t len);

#endif
