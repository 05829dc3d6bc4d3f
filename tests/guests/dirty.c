// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Dirty writer: each of its rounds writes 8 bytes to a page of the first region of the list, the
 * page and the value drawn from the seed, so that the host can draw them again and knows what must
 * be in the dirty log and in memory. If mailbox.turn starts as 1, it stops after each `level`
 * writes until the host has set turn back to 1, so that a test can harvest between two known
 * points.
 */
#include "guest.h"

#define PAGE 4096ull

static void hand_over(volatile struct guest_mailbox *box)
{
	box->turn = 2;
	guest_ring(box->done);
	while (box->turn != 1)
		__asm__ volatile("pause");
}

int guest_main(void)
{
	volatile struct guest_mailbox *box = guest_mailbox();
	const struct guest_region *region = (const struct guest_region *)box->regions;
	uint32_t rounds = box->rounds, step = box->level, in_turns = box->turn, i;
	uint64_t seed = box->seed;

	guest_interrupts_init();
	for (i = 0; i < rounds; i++) {
		/* The product's upper half: a fair draw without a division. */
		uint64_t pages = region->size / PAGE;
		uint64_t page = ((guest_random(&seed) >> 32) * pages) >> 32;

		*(volatile uint64_t *)(region->gpa + page * PAGE) = seed;
		box->done = i + 1;
		if (in_turns && (i + 1) % step == 0)
			hand_over(box);
	}
	return 0;
}
