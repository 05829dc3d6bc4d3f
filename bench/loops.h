/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The loops that peers written in C share. They are inlined into their caller together with the
 * translation they are given, so each peer gets a loop of its own.
 */
#ifndef VAS_BENCH_LOOPS_H
#define VAS_BENCH_LOOPS_H

#include "peer.h"

#define inlined inline __attribute__((always_inline))

static inlined uint64_t loop_chase(const void *(*translate)(void *ctx, uint64_t gpa), void *ctx,
				   uint64_t gpa, uint64_t nr)
{
	while (nr--) {
		const uint64_t *word = translate(ctx, gpa);

		if (__builtin_expect(!word, 0))
			return PEER_REFUSED;
		gpa = *word;
	}
	return gpa;
}

static inlined uint64_t loop_gather(const void *(*translate)(void *ctx, uint64_t gpa), void *ctx,
				    const struct peer_gpas *at, uint64_t nr)
{
	/* Copies: a translation with atomic loads would else have them loaded anew each time. */
	const struct peer_gpas local = *at;
	uint64_t sum = 0;

	for (uint64_t i = local.start; i != local.start + nr; i++) {
		const uint64_t *word = translate(ctx, local.gpas[i & local.mask]);

		if (__builtin_expect(!word, 0))
			return PEER_REFUSED;
		sum += *word;
	}
	return sum;
}

static inlined uint64_t loop_copy(int (*access)(void *ctx, uint64_t gpa, void *buf, size_t len),
				  void *ctx, const struct peer_copy *copy, uint64_t nr)
{
	const struct peer_copy local = *copy;

	for (uint64_t i = local.at.start; i != local.at.start + nr; i++) {
		if (access(ctx, local.at.gpas[i & local.at.mask], local.buf, local.len))
			return PEER_REFUSED;
	}
	return 0;
}

#endif
