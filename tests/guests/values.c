// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Value writer: writes `rounds` values to the doorbell, no two alike: see guest_value(). */
#include "guest.h"
#include "../../examples/echo.h"

int guest_main(void)
{
	volatile struct guest_mailbox *box = guest_mailbox();
	uint64_t seed = box->seed;
	uint32_t rounds, i;

	/* A mailbox that nobody filled in: tinyvmm's doorbell, and ten values. */
	if (!box->rounds)
		box->rounds = 10;
	if (!box->doorbell) {
		box->doorbell = VALUES_PORT;
		box->doorbell_len = 4;
		box->doorbell_pio = 1;
	}
	rounds = box->rounds;

	guest_interrupts_init();
	for (i = 0; i < rounds; i++) {
		guest_ring(guest_value(i, seed));
		box->done = i + 1;
	}
	return 0;
}
