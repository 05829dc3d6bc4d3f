/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Sums of payloads, block by block: the same however the blocks lie in memory. (The streaming
 * functions of XXH3 0.8.1 give wrong sums for segments that are not contiguous.)
 */
#ifndef MIGRATE_SUM_H
#define MIGRATE_SUM_H

#include <xxhash.h>
#ifdef HAVE_XXH_DISPATCH
#include <xxh_x86dispatch.h> /* XXH3_64bits() is then as wide as the processor */
#endif

#include "migrate/base/stream.h"

/* Bytes, of which only the last call's may be other than whole blocks, added to a sum. */
static inline uint64_t sum_add(uint64_t sum, const void *bytes, size_t size)
{
	const char *p = bytes;

	while (size) {
		size_t block = size < STREAM_SUM_BLOCK ? size : STREAM_SUM_BLOCK;
		uint64_t hash = XXH3_64bits(p, block);

		sum = XXH3_64bits_withSeed(&hash, sizeof(hash), sum);
		p += block;
		size -= block;
	}
	return sum;
}

#endif
