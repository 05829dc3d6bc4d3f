// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_field_in_a_hole_is_refused, CAN_FIELD)
{
	uint64_t val, expected = 0;

	place(s, 1, 1);
	for (unsigned int width = 1; width <= 8; width *= 2) {
		CHECK_EQ(subject_load(s, 2 * s->unit, width, &val), -EFAULT);
		CHECK_EQ(subject_load(s, s->unit - width, width, &val), -EFAULT);
		CHECK_EQ(subject_load(s, s->limit, width, &val), -EFAULT);
		CHECK_EQ(subject_load(s, -(uint64_t)width, width, &val), -EFAULT);
		CHECK_OK(subject_load(s, 2 * s->unit - width, width, &val));
		if (!(s->kind->can & CAN_WRITE))
			continue;
		val = 1;
		CHECK_EQ(subject_store(s, 2 * s->unit, width, 1), -EFAULT);
		CHECK_EQ(subject_rmw(s, REQ_OR, 2 * s->unit, width, &val), -EFAULT);
		CHECK_EQ(subject_cmpxchg(s, 2 * s->unit, width, &expected, 1), -EFAULT);
	}
}
