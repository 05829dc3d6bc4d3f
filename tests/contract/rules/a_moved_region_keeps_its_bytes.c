// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_moved_region_keeps_its_bytes, CAN_READ | CAN_WHOLE)
{
	const uint64_t id = place(s, 2, 2);
	uint8_t got[128], want[128];

	owner_pattern(s, 2 * s->unit, 2 * s->unit, 1);
	pattern_make(want, 3 * s->unit - 64, sizeof(want), 1);
	CHECK_OK(subject_read(s, 3 * s->unit - 64, got, sizeof(got), NULL));
	CHECK_MEM(got, want, sizeof(want));
	CHECK_OK(vas_region_move(s->owner, id, 9 * s->unit));
	CHECK_EQ(subject_read(s, 2 * s->unit, got, 1, NULL), -EFAULT);
	CHECK_OK(subject_read(s, 10 * s->unit - 64, got, sizeof(got), NULL));
	CHECK_MEM(got, want, sizeof(want));
	/* Onto a place that it overlaps itself. */
	CHECK_OK(vas_region_move(s->owner, id, 8 * s->unit));
	CHECK_OK(subject_read(s, 9 * s->unit - 64, got, sizeof(got), NULL));
	CHECK_MEM(got, want, sizeof(want));
	CHECK_EQ(subject_read(s, 10 * s->unit, got, 1, NULL), -EFAULT);
}
