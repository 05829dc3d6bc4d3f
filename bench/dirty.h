/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A vas that is tracked, and a bitmap beside it: what marks and harvests are measured on. */
#ifndef VAS_BENCH_DIRTY_H
#define VAS_BENCH_DIRTY_H

#include <stddef.h>
#include <stdint.h>
#include <vas/dirty.h>

#include "harness.h"

#define HALF_LIMIT (4ULL << 30)
#define HALF_WORDS (HALF_LIMIT / VAS_PAGE_SIZE / 64) /* the most that one harvest has */

struct dirty {
	struct vas *vas;
	struct vas_tracker *tracker;
	uint64_t size;
	uint64_t *flat; /* a bitmap of the limit's own */
	uint64_t *copy; /* where its scan moves words to */
	/* nr_gpas, a power of two, or all of the sparse case's, or none: half of all. */
	uint64_t *gpas;
	uint64_t nr_gpas;
	void *rust; /* NULL, or to be closed */
	void (*close_rust)(void *bitmap);
	/* The vas's own log, to set or clear it without marking or harvesting. */
	uint64_t *words;
	size_t log_size;
};

/*
 * size bytes of gpa, HALF_LIMIT at most if half of all is to be dirty, and room for nr_gpas
 * addresses; dirty_close() also after a failure.
 */
int dirty_open(struct dirty *d, uint64_t size, uint64_t nr_gpas);
void dirty_close(struct dirty *d);

/* A number that looks random, the same for the same i. */
uint64_t dirty_mix(uint64_t i);

int dirty_bench_marks(struct bench_session *session);
int dirty_bench_harvests(struct bench_session *session);

#endif
