/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Ranges of addresses, checked: no sum here wraps. */
#ifndef VAS_CORE_RANGE_H
#define VAS_CORE_RANGE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
#endif

/* [start, start + len) lies in [0, limit). */
static inline bool vas_range_fits(uint64_t start, uint64_t len, uint64_t limit)
{
	return len <= limit && start <= limit - len;
}

/* For ranges that fit: they share a byte. */
static inline bool vas_ranges_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

static inline bool vas_is_aligned(uint64_t value, uint64_t power_of_two)
{
	return (value & (power_of_two - 1)) == 0;
}

static inline bool vas_is_power_of_two(uint64_t value)
{
	return value && (value & (value - 1)) == 0;
}

/* value must be at least power_of_two below the end of 64 bits. */
static inline uint64_t vas_align_up(uint64_t value, uint64_t power_of_two)
{
	return (value + power_of_two - 1) & ~(power_of_two - 1);
}

#endif
