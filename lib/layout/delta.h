/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The difference between two layouts. */
#ifndef VAS_LIB_DELTA_H
#define VAS_LIB_DELTA_H

#include <vas/consumer.h>

/*
 * gone: the ranges that no longer hold the bytes that they held, sorted by gpa: `removed`, less
 * what stays of regions that only grew or shrank.
 */
struct delta {
	struct vas_delta head;
	struct vas_region *memory; /* all three arrays */
	struct vas_region *gone;
	size_t nr_gone;
};

int vas_delta_init(struct delta *delta, const struct vas_region *old, size_t nr_old,
		   const struct vas_region *new, size_t nr_new);
void vas_delta_clean(struct delta *delta);

#endif
