// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"
#include "tests/patient.h"

/* Only memory of the vas's own file is the library's to give back. */
RULE(memory_that_was_given_up_comes_back_as_zeros, CAN_READ | CAN_FREE | CAN_WHOLE)
{
	struct vas_region region = place_prepare(s, 1, 2);
	uint8_t got[64];
	uint64_t id;

	CHECK_OK(patient_add(s->owner, &region, &id));
	owner_pattern(s, region.gpa, region.size, 1);
	CHECK_OK(patient_remove(s->owner, id));
	CHECK_OK(patient_add(s->owner, &region, NULL));
	for (uint64_t at = 0; at < region.size; at += region.size / 64) {
		CHECK_OK(subject_read(s, region.gpa + at, got, sizeof(got), NULL));
		for (size_t i = 0; i < sizeof(got); i++)
			CHECK_EQ(got[i], 0);
	}
}
