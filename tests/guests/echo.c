// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Echo: write a request into shared memory, ring, sleep until the interrupt, check the answer;
 * mailbox.rounds times. Status 1: an answer was wrong, mailbox.where says in which round.
 */
#include "guest.h"
#include "../../examples/echo.h"

static volatile uint32_t irq_came;

void guest_handle(unsigned int vector)
{
	(void)vector;
	irq_came = 1;
}

static int round_trip(volatile struct echo_page *page, uint32_t round, uint64_t *seed)
{
	uint64_t request = guest_random(seed);

	page->request = request;
	page->request_nr = round;
	guest_ring(round);
	do {
		guest_wait(&irq_came);
		irq_came = 0;
		/* An interrupt without an answer: one that was meant for the round before. */
	} while (page->answer_nr != round);
	return page->answer == echo_answer(request, round) ? 0 : 1;
}

int guest_main(void)
{
	volatile struct guest_mailbox *box = guest_mailbox();
	volatile struct echo_page *page = (volatile struct echo_page *)box->buffer;
	uint32_t rounds = box->rounds, round;
	uint64_t seed = box->seed;

	guest_interrupts_init();
	guest_gsi_enable(box->gsi, box->level);
	for (round = 1; round <= rounds; round++) {
		if (round_trip(page, round, &seed)) {
			box->where = round;
			return 1;
		}
		box->done = round;
	}
	return 0;
}
