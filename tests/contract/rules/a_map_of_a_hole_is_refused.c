// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_map_of_a_hole_is_refused, CAN_MAP)
{
	struct vas_info info;
	uint64_t map;

	place(s, 1, 1);
	place(s, 3, 1);
	CHECK_EQ(subject_map(s, 2 * s->unit, 1, 0, &map), -EFAULT);
	CHECK_EQ(subject_map(s, s->unit, 3 * s->unit, 0, &map), -EFAULT);
	CHECK_EQ(subject_map(s, 3 * s->unit, s->unit + 1, 0, &map), -EFAULT);
	CHECK_EQ(subject_map(s, s->unit, ~0ull, 0, &map), -EFAULT);
	CHECK_EQ(subject_map(s, ~0ull, 2, 0, &map), -EFAULT);
	CHECK_OK(vas_info(s->owner, &info));
	CHECK_EQ(info.nr_pins, 0);
}
