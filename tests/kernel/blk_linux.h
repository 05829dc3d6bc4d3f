/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the Linux guest of blk_linux.c and the test around it agree on. */
#ifndef TESTS_KERNEL_BLK_LINUX_H
#define TESTS_KERNEL_BLK_LINUX_H

#include <stdint.h>

#define BLK_LINUX_DISK	    (16ull << 20)
#define BLK_LINUX_PIECE	    (16ull << 10)
#define BLK_LINUX_PROCESSES 8
#define BLK_LINUX_VERDICT   "guest: all sectors are as they should be"

static inline uint64_t blk_linux_word(uint64_t at, uint64_t seed)
{
	return (at + seed) * 0x9e3779b97f4a7c15ull ^ seed << 56;
}

static inline void blk_linux_fill(uint64_t *buf, uint64_t at, uint64_t seed)
{
	for (uint64_t i = 0; i < BLK_LINUX_PIECE / 8; i++)
		buf[i] = blk_linux_word(at + i * 8, seed);
}

/* 0: as it was filled. */
static inline int blk_linux_check(const uint64_t *buf, uint64_t at, uint64_t seed)
{
	for (uint64_t i = 0; i < BLK_LINUX_PIECE / 8; i++)
		if (buf[i] != blk_linux_word(at + i * 8, seed))
			return -1;
	return 0;
}

#endif
