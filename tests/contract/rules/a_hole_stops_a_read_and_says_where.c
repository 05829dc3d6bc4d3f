// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_hole_stops_a_read_and_says_where, CAN_READ)
{
	const uint64_t end = 3 * s->unit;
	uint8_t got[300], want[300];
	size_t done;

	place(s, 2, 1);
	place(s, 4, 1);
	owner_pattern(s, end - 100, 100, 1);
	pattern_make(want, end - 100, 100, 1);
	CHECK_EQ(subject_read(s, end - 100, got, sizeof(got), &done), -EFAULT);
	CHECK_EQ(done, 100);
	CHECK_MEM(got, want, 100);

	CHECK_EQ(subject_read(s, end, got, 1, &done), -EFAULT);
	CHECK_EQ(done, 0);
	/* It is not enough that the far end is there. */
	CHECK_EQ(subject_read(s, 4 * s->unit - 10, got, 20, &done), -EFAULT);
	CHECK_EQ(done, 0);
	CHECK_EQ(subject_read(s, 5 * s->unit - 1, got, 2, &done), -EFAULT);
	CHECK_EQ(done, 1);
}
