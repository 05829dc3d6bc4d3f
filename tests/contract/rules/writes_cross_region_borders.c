// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(writes_cross_region_borders, CAN_READ | CAN_WRITE)
{
	const uint64_t gpa = 3 * s->unit - 2500;
	uint8_t got[5002], want[5000];
	size_t done;

	place(s, 2, 1);
	place(s, 3, 2);
	pattern_make(want, gpa, sizeof(want), 2);
	CHECK_OK(subject_write(s, gpa, want, sizeof(want), &done));
	CHECK_EQ(done, sizeof(want));
	owner_read(s, gpa - 1, got, sizeof(got));
	CHECK_EQ(got[0], 0);
	CHECK_MEM(got + 1, want, sizeof(want));
	CHECK_EQ(got[sizeof(got) - 1], 0);
}
