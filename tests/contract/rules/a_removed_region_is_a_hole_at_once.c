// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"
#include "tests/patient.h"

RULE(a_removed_region_is_a_hole_at_once, CAN_READ | CAN_LIST | CAN_WHOLE)
{
	const uint64_t first = place(s, 1, 1), second = place(s, 2, 1);
	struct vas_region_entry list[2];
	uint8_t buf[16];
	size_t done;

	CHECK_OK(subject_read(s, 2 * s->unit - 8, buf, sizeof(buf), &done));
	CHECK_OK(patient_remove(s->owner, second));
	CHECK_EQ(subject_read(s, 2 * s->unit - 8, buf, sizeof(buf), &done), -EFAULT);
	CHECK_EQ(done, 8);
	CHECK_EQ(subject_regions(s, list, 2), 1);
	CHECK_EQ(list[0].id, first);
	CHECK_OK(patient_remove(s->owner, first));
	CHECK_EQ(subject_read(s, s->unit, buf, 1, &done), -EFAULT);
	CHECK_EQ(subject_regions(s, list, 2), 0);
}
