// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(reads_cross_region_borders, CAN_READ)
{
	const uint64_t gpa = 3 * s->unit - 1000;
	uint8_t got[5000], want[5000];
	size_t done;

	place(s, 2, 1);
	place(s, 4, 2);
	place(s, 3, 1);
	owner_pattern(s, 2 * s->unit, 4 * s->unit, 1);
	pattern_make(want, gpa, sizeof(want), 1);
	CHECK_OK(subject_read(s, gpa, got, sizeof(got), &done));
	CHECK_EQ(done, sizeof(got));
	CHECK_MEM(got, want, sizeof(got));

	/* Over two borders: all of the middle region. */
	if (s->unit > VAS_PAGE_SIZE)
		return;
	CHECK_OK(subject_read(s, 3 * s->unit - 1, got, s->unit - 1 + 3, &done));
	pattern_make(want, 3 * s->unit - 1, s->unit + 2, 1);
	CHECK_MEM(got, want, s->unit + 2);
}
