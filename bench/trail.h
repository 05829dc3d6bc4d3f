/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A closed trail through guest memory: addresses in a random order, and at each of them the address
 * that comes next. Words of a region share one page, so a guest of many regions stays small.
 */
#ifndef VAS_BENCH_TRAIL_H
#define VAS_BENCH_TRAIL_H

#include "guest.h"

/* Not shorter than one page of words; not so long that a round is over before it is. */
#define TRAIL_MIN 512
#define TRAIL_MAX 4096

struct trail {
	uint64_t *gpas;
	uint64_t nr; /* a power of two */
};

/* Visits nr regions, from the first-th on, or TRAIL_MAX of them. Returns 0 or -errno. */
int trail_create(struct trail *trail, const struct guest *guest, unsigned int first,
		 unsigned int nr);
void trail_destroy(struct trail *trail);

#endif
