/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a test and its guest agree on: one page of parameters and results, and some ports. */
#ifndef GUEST_MAILBOX_H
#define GUEST_MAILBOX_H

#include <stdint.h>

#define GUEST_LOAD    0x100000ull /* the image, and its entry in 32-bit protected mode */
#define GUEST_MAILBOX 0x10000ull
#define GUEST_RAM     0x200000ull /* what a guest needs at least, from 0 */

#define GUEST_PORT_CONSOLE 0xe9
#define GUEST_PORT_EXIT	   0xf4

#define GUEST_REGION_READONLY 1u

#define GUEST_TURN_STOP 3u /* mailbox.turn, to the dirty writer: no more */

struct guest_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t flags;
};

struct guest_mailbox {
	/* Set by the host before the guest runs. */
	uint32_t rounds;
	uint32_t nr_regions;
	uint64_t seed;
	uint64_t regions; /* gpa of struct guest_region[nr_regions] */
	uint64_t buffer;  /* gpa of what the guest works on */
	uint64_t doorbell;
	uint32_t doorbell_len; /* bytes to write at once */
	uint32_t doorbell_pio;
	uint32_t gsi;
	uint32_t level;

	/* Changed by either while the guest runs. */
	uint32_t turn; /* whose: see the guest */
	uint32_t pad;

	/* Set by the guest. */
	uint64_t done;	/* rounds, pages or writes done */
	uint64_t where; /* gpa or round of what went wrong */
};

/* Pseudo random numbers that the host can repeat: xorshift64, never 0 from a seed that is not. */
static inline uint64_t guest_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* The value writer's i-th: multiplying by an odd number maps no two to one, in 32 bits either. */
static inline uint64_t guest_value(uint32_t i, uint64_t seed)
{
	return (i * 0x9e3779b97f4a7c15ull) ^ seed;
}

#endif
