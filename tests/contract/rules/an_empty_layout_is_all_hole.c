// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(an_empty_layout_is_all_hole, CAN_READ)
{
	uint8_t byte;
	size_t done;

	for (uint64_t gpa = 0; gpa < s->limit; gpa += s->unit) {
		CHECK_EQ(subject_read(s, gpa, &byte, 1, &done), -EFAULT);
		CHECK_EQ(done, 0);
	}
}
