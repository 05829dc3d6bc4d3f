// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"
#include "tests/patient.h"

RULE(a_resized_region_keeps_its_start, CAN_READ | CAN_WHOLE)
{
	const uint64_t id = place(s, 2, 2);
	uint8_t got[128], want[128];
	size_t done;

	owner_pattern(s, 2 * s->unit, 2 * s->unit, 1);
	pattern_make(want, 3 * s->unit - 64, sizeof(want), 1);
	CHECK_OK(patient_resize(s->owner, id, 4 * s->unit));
	CHECK_OK(subject_read(s, 6 * s->unit - 128, got, sizeof(got), NULL));
	CHECK_OK(subject_read(s, 3 * s->unit - 64, got, sizeof(got), NULL));
	CHECK_MEM(got, want, sizeof(want));
	CHECK_OK(patient_resize(s->owner, id, s->unit));
	CHECK_EQ(subject_read(s, 3 * s->unit - 64, got, sizeof(got), &done), -EFAULT);
	CHECK_EQ(done, 64);
	CHECK_MEM(got, want, 64);
}
