// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(memory_outlives_its_owner, CAN_REBIND | CAN_READ | CAN_WHOLE)
{
	uint8_t got[16], want[16];

	place(s, 1, 1);
	owner_pattern(s, s->unit, 16, 1);
	pattern_make(want, s->unit, 16, 1);
	vas_unbind(s->owner);
	s->owner = NULL;
	CHECK_OK(subject_read(s, s->unit, got, 16, NULL));
	CHECK_MEM(got, want, 16);
	if (s->kind->can & CAN_WRITE) {
		CHECK_OK(subject_write(s, s->unit + 4, "x", 1, NULL));
		CHECK_OK(subject_read(s, s->unit + 4, got, 1, NULL));
		CHECK_EQ(got[0], 'x');
	}
}
