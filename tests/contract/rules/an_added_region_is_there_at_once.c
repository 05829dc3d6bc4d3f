// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(an_added_region_is_there_at_once, CAN_READ)
{
	uint8_t got[8], want[8];

	for (uint64_t i = 1; i < 6; i++) {
		const uint64_t gpa = 2 * i * s->unit;

		CHECK_EQ(subject_read(s, gpa, got, 8, NULL), -EFAULT);
		place(s, 2 * i, 1);
		CHECK_OK(subject_read(s, gpa, got, 8, NULL));
		owner_pattern(s, gpa, 8, i);
		pattern_make(want, gpa, 8, i);
		CHECK_OK(subject_read(s, gpa, got, 8, NULL));
		CHECK_MEM(got, want, 8);
	}
}
