// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Value writer: writes `rounds` values to the doorbell, no two alike: see guest_value(). */
#include "guest.h"

int guest_main(void)
{
	volatile struct guest_mailbox *box = guest_mailbox();
	uint32_t rounds = box->rounds, i;
	uint64_t seed = box->seed;

	guest_interrupts_init();
	for (i = 0; i < rounds; i++) {
		guest_ring(guest_value(i, seed));
		box->done = i + 1;
	}
	return 0;
}
