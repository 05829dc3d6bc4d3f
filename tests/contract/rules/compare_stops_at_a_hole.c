// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(compare_stops_at_a_hole, CAN_COMPARE)
{
	struct comparison c = { 0, 0 };
	uint8_t buf[64] = { 0 };

	place(s, 1, 1);
	CHECK_EQ(subject_compare(s, 2 * s->unit - 32, buf, sizeof(buf), &c), -EFAULT);
	CHECK_EQ(c.done, 32);
	/* A difference before the hole is an answer. */
	buf[5] = 1;
	CHECK_OK(subject_compare(s, 2 * s->unit - 32, buf, sizeof(buf), &c));
	CHECK(c.order < 0);
	CHECK_EQ(c.done, 5);
}
