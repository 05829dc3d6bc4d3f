/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pages in a row, as bits of a word. */
#ifndef MIGRATE_BITS_H
#define MIGRATE_BITS_H

#include <stdint.h>

/* How many from the lowest on; there is one. */
static inline unsigned int run_of(uint64_t bits)
{
	bits >>= __builtin_ctzll(bits);
	return bits == UINT64_MAX ? 64 : (unsigned int)__builtin_ctzll(~bits);
}

static inline uint64_t mask_of(unsigned int first, unsigned int nr)
{
	return (nr == 64 ? UINT64_MAX : (1ull << nr) - 1) << first;
}

#endif
