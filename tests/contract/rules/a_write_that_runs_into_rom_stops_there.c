// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_write_that_runs_into_rom_stops_there, CAN_READ | CAN_WRITE)
{
	uint8_t want[200], got[200];
	size_t done;

	place(s, 1, 1);
	place_flags(s, 2, 1, VAS_REGION_READONLY);
	place(s, 3, 1);
	pattern_make(want, 0, sizeof(want), 1);
	CHECK_EQ(subject_write(s, 2 * s->unit - 50, want, sizeof(want), &done), -EACCES);
	CHECK_EQ(done, 50);
	CHECK_OK(subject_read(s, 2 * s->unit - 50, got, sizeof(got), NULL));
	CHECK_MEM(got, want, 50);
	CHECK_EQ(got[50], 0);
	/* And a write that starts in ROM does nothing, though RAM follows. */
	CHECK_EQ(subject_write(s, 3 * s->unit - 1, want, 2, &done), -EACCES);
	CHECK_EQ(done, 0);
	CHECK_EQ(owner_load8(s, 3 * s->unit), 0);
}
