// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(compare_and_swap_fails_without_a_change, CAN_FIELD | CAN_WRITE)
{
	uint64_t val, expected;

	place(s, 1, 1);
	for (unsigned int width = 1; width <= 8; width *= 2) {
		CHECK_OK(subject_store(s, s->unit, width, 5));
		expected = 6;
		CHECK_EQ(subject_cmpxchg(s, s->unit, width, &expected, 7), -EAGAIN);
		CHECK_EQ(expected, 5);
		CHECK_OK(subject_load(s, s->unit, width, &val));
		CHECK_EQ(val, 5);
		CHECK_EQ(subject_cmpxchg(s, s->unit, width, &expected, 7), 0);
		CHECK_OK(subject_load(s, s->unit, width, &val));
		CHECK_EQ(val, 7);
	}
}
