// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Hot-plug user: each round it asks for a region (turn 1, and a ring), waits until the host says
 * that it is there (turn 2, regions[0] tells where), fills the first and last word of each page,
 * reads them back, and lets it go (turn 3, and a ring), after which the host takes it away (turn
 * 0). Status 1: a word did not hold, mailbox.where is its gpa.
 */
#include "guest.h"

#define PAGE 4096ull

static void say(volatile struct guest_mailbox *box, uint32_t turn)
{
	box->turn = turn;
	guest_ring(turn);
}

static void await(volatile struct guest_mailbox *box, uint32_t turn)
{
	while (box->turn != turn)
		__asm__ volatile("pause");
}

static int page_use(uint64_t gpa, uint64_t seed)
{
	volatile uint64_t *first = (volatile uint64_t *)gpa;
	volatile uint64_t *last = (volatile uint64_t *)(gpa + PAGE - 8);

	*first = gpa ^ seed;
	*last = gpa + seed;
	return *first == (gpa ^ seed) && *last == gpa + seed ? 0 : 1;
}

static int region_use(volatile struct guest_mailbox *box, uint64_t seed)
{
	volatile struct guest_region *region = (volatile struct guest_region *)box->regions;
	uint64_t gpa, end = region->gpa + region->size;

	for (gpa = region->gpa; gpa < end; gpa += PAGE)
		if (page_use(gpa, seed)) {
			box->where = gpa;
			return 1;
		}
	return 0;
}

int guest_main(void)
{
	volatile struct guest_mailbox *box = guest_mailbox();
	uint32_t rounds = box->rounds, i;
	uint64_t seed = box->seed;

	guest_interrupts_init();
	for (i = 0; i < rounds; i++) {
		say(box, 1);
		await(box, 2);
		if (region_use(box, guest_random(&seed)))
			return 1;
		box->done = i + 1;
		say(box, 3);
		await(box, 0);
	}
	return 0;
}
