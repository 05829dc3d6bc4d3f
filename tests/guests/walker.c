// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Memory walker: touches every page of every region of the list, rounds times (0: until
 * mailbox.turn is not 0). The first 8 bytes of each page hold the page's gpa xor the seed, as the
 * host wrote it, which the walker checks. It increments the next 8 bytes; in a read-only region
 * that must leave memory as it was, and send the VMM an exit. Status 1: a wrong word, mailbox.where
 * is its gpa; 2: a write to ROM went through.
 */
#include "guest.h"

#define PAGE 4096ull

static int page_check(volatile uint64_t *page, uint64_t flags, uint64_t seed)
{
	uint64_t count = page[1];

	if (page[0] != ((uintptr_t)page ^ seed))
		return 1;
	page[1] = count + 1;
	if (page[1] != count + !(flags & GUEST_REGION_READONLY))
		return 2;
	return 0;
}

static int region_walk(volatile struct guest_mailbox *box, const struct guest_region *region)
{
	uint64_t seed = box->seed, gpa;

	for (gpa = region->gpa; gpa < region->gpa + region->size; gpa += PAGE) {
		int status = page_check((volatile uint64_t *)gpa, region->flags, seed);

		if (status) {
			box->where = gpa;
			return status;
		}
		box->done++;
	}
	return 0;
}

int guest_main(void)
{
	volatile struct guest_mailbox *box = guest_mailbox();
	const struct guest_region *regions = (const struct guest_region *)box->regions;
	uint32_t rounds = box->rounds, nr = box->nr_regions, round, i;
	int status;

	guest_interrupts_init();
	for (round = 0; rounds ? round < rounds : !box->turn; round++)
		for (i = 0; i < nr; i++) {
			status = region_walk(box, &regions[i]);
			if (status)
				return status;
		}
	return 0;
}
