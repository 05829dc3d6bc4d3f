/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The memory that the subjects of a case share: a vas with regions of one size, each followed by a
 * hole of that size, sparse. Only what a bench touches is ever there. Every subject reaches the
 * same pages.
 */
#ifndef VAS_BENCH_GUEST_H
#define VAS_BENCH_GUEST_H

#include <stdint.h>

#include <vas/vas.h>

struct guest_region {
	uint64_t gpa;
	uint64_t size;
};

struct guest {
	struct vas *vas; /* owned */
	/* All of its file mapped at once, holes too: gpa is at flat + gpa. The handle's. */
	uint8_t *flat;
	uint64_t limit;
	uint64_t region_size;
	unsigned int nr_regions;
	struct guest_region *regions; /* sorted */
};

/* region_size is a power of two, and a multiple of the page size. Returns 0 or -errno. */
int guest_create(struct guest *guest, unsigned int nr_regions, uint64_t region_size);
void guest_destroy(struct guest *guest);

/* A small generator of pseudo-random numbers: the same ones in every run. */
uint64_t guest_random(uint64_t *state);

#endif
