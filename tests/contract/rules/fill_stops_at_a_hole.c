// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(fill_stops_at_a_hole, CAN_FILL | CAN_WRITE)
{
	size_t done;

	place(s, 1, 1);
	place(s, 3, 1);
	CHECK_EQ(subject_fill(s, 2 * s->unit - 10, 7, 2 * s->unit, &done), -EFAULT);
	CHECK_EQ(done, 10);
	CHECK_EQ(owner_load8(s, 2 * s->unit - 1), 7);
	CHECK_EQ(owner_load8(s, 2 * s->unit - 11), 0);
	CHECK_EQ(owner_load8(s, 3 * s->unit), 0);
}
