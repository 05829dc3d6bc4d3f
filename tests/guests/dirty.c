// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Dirty writer: each of its rounds writes 8 bytes to a page of the first region of the list, the
 * page and the value drawn from the seed, so that the host can draw them again and knows what must
 * be in the dirty log and in memory. After each `level` writes (if that is not 0) it rings. If
 * mailbox.turn starts as 1, it also waits there until the host has set turn back to 1, so that a
 * test can harvest between two known points. If turn becomes GUEST_TURN_STOP, it ends early.
 */
#include "guest.h"

#define PAGE 4096ull

static void ring_and_wait(volatile struct guest_mailbox *box, uint32_t in_turns)
{
	if (in_turns)
		box->turn = 2;
	guest_ring(box->done);
	while (in_turns && box->turn != 1)
		__asm__ volatile("pause");
}

int guest_main(void)
{
	volatile struct guest_mailbox *box = guest_mailbox();
	const struct guest_region *region = (const struct guest_region *)box->regions;
	uint32_t rounds = box->rounds, left = box->level, in_turns = box->turn, i;
	uint64_t seed = box->seed;

	guest_interrupts_init();
	for (i = 0; i < rounds && box->turn != GUEST_TURN_STOP; i++) {
		/* The product's upper half: a fair draw without a division. */
		uint64_t pages = region->size / PAGE;
		uint64_t page = ((guest_random(&seed) >> 32) * pages) >> 32;

		*(volatile uint64_t *)(region->gpa + page * PAGE) = seed;
		box->done = i + 1;
		if (left && --left == 0) {
			ring_and_wait(box, in_turns);
			left = box->level;
		}
	}
	return 0;
}
