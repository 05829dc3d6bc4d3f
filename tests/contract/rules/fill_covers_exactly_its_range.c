// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(fill_covers_exactly_its_range, CAN_FILL | CAN_WRITE)
{
	const uint64_t gpa = 2 * s->unit - 700;
	uint8_t got[1502];
	size_t done;

	place(s, 1, 1);
	place(s, 2, 1);
	CHECK_OK(subject_fill(s, gpa, 0xa5, 1500, &done));
	CHECK_EQ(done, 1500);
	owner_read(s, gpa - 1, got, sizeof(got));
	CHECK_EQ(got[0], 0);
	for (size_t i = 1; i <= 1500; i++)
		CHECK_EQ(got[i], 0xa5);
	CHECK_EQ(got[1501], 0);
}
