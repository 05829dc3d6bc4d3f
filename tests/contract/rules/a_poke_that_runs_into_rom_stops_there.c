// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_poke_that_runs_into_rom_stops_there, CAN_READ | CAN_WRITE | CAN_PEEK)
{
	static uint8_t bytes[2 * VAS_PAGE_SIZE];
	size_t done;

	place(s, 1, 1);
	place_flags(s, 2, 1, VAS_REGION_READONLY);
	memset(bytes, 7, sizeof(bytes));
	CHECK_EQ(subject_poke(s, 2 * s->unit - VAS_PAGE_SIZE, bytes, sizeof(bytes), &done),
		 -EACCES);
	CHECK_EQ(done, VAS_PAGE_SIZE);
	CHECK_EQ(owner_load8(s, 2 * s->unit - 1), 7);
	CHECK_EQ(owner_load8(s, 2 * s->unit), 0);
	/* Zeros are written as well, where there is nothing to be done for them. */
	memset(bytes, 0, sizeof(bytes));
	CHECK_EQ(subject_poke(s, 2 * s->unit, bytes, sizeof(bytes), &done), -EACCES);
	CHECK_EQ(done, 0);
}
