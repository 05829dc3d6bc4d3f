// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_hole_stops_a_write_and_says_where, CAN_READ | CAN_WRITE)
{
	const uint64_t end = 3 * s->unit;
	uint8_t got[100], want[300];
	size_t done;

	place(s, 2, 1);
	place(s, 4, 1);
	pattern_make(want, 0, sizeof(want), 1);
	CHECK_EQ(subject_write(s, end - 100, want, sizeof(want), &done), -EFAULT);
	CHECK_EQ(done, 100);
	owner_read(s, end - 100, got, 100);
	CHECK_MEM(got, want, 100);

	CHECK_EQ(subject_write(s, 4 * s->unit - 1, want, 10, &done), -EFAULT);
	CHECK_EQ(done, 0);
	CHECK_EQ(owner_load8(s, 4 * s->unit), 0);
}
