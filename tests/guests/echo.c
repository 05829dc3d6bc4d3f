// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Echo: write a request into shared memory, ring, sleep until the interrupt, check the answer;
 * mailbox.rounds times, or until mailbox.turn is not 0. Status 1: an answer was wrong,
 * mailbox.where says in which round.
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

/* A mailbox that nobody filled in: tinyvmm's devices, and ten rounds. */
static void mailbox_default(volatile struct guest_mailbox *box)
{
	if (!box->rounds)
		box->rounds = 10;
	if (!box->seed)
		box->seed = 1;
	if (box->doorbell)
		return;
	box->buffer = ECHO_GPA;
	box->doorbell = ECHO_PORT;
	box->doorbell_len = 4;
	box->doorbell_pio = 1;
	box->gsi = ECHO_GSI;
}

int guest_main(void)
{
	volatile struct guest_mailbox *box = guest_mailbox();
	volatile struct echo_page *page;
	uint32_t rounds, round;
	uint64_t seed;

	mailbox_default(box);
	page = (volatile struct echo_page *)box->buffer;
	rounds = box->rounds;
	seed = box->seed;

	guest_interrupts_init();
	guest_gsi_enable(box->gsi, box->level);
	for (round = 1; round <= rounds && !box->turn; round++) {
		if (round_trip(page, round, &seed)) {
			box->where = round;
			guest_print("echo: a wrong answer\n");
			return 1;
		}
		box->done = round;
	}
	guest_print("echo: every answer was right\n");
	return 0;
}
