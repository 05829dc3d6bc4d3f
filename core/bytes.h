/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Byte strings in memory that others may be writing: each byte is read or written once, by an
 * access that says so. For names; not for anything whose bytes belong together.
 */
#ifndef VAS_CORE_BYTES_H
#define VAS_CORE_BYTES_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
#endif

static inline void vas_bytes_fetch(char *to, const char *shared, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		to[i] = __atomic_load_n(&shared[i], __ATOMIC_RELAXED);
}

static inline void vas_bytes_store(char *shared, const char *from, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		__atomic_store_n(&shared[i], from[i], __ATOMIC_RELAXED);
}

/* Of private memory: a loop that no compiler turns into a call. size is a multiple of 8. */
static inline void vas_words_clear(void *memory, uint64_t size)
{
	uint64_t *words = (uint64_t *)memory, i;

	for (i = 0; i < size / sizeof(*words); i++)
		__atomic_store_n(&words[i], 0, __ATOMIC_RELAXED);
}

#endif
