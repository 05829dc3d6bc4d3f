// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(vectors_that_do_not_fit_are_refused, CAN_VECTORS | CAN_OFFER | CAN_SPARSE | CAN_WHOLE)
{
	/* Every second unit lies backwards in the file, so that no two are contiguous anywhere. */
	struct vas_region region = { .size = s->unit };
	struct vectors v = { .prot = VAS_PROT_READ };
	int nr;

	for (uint64_t i = 0; i < 8; i++) {
		region.gpa = (1 + i) * s->unit;
		region.offset = (20 - 2 * i) * s->unit;
		CHECK_OK(vas_region_add(s->owner, &region, NULL));
	}
	nr = subject_vectors(s, s->unit, 8 * s->unit, &v);
	CHECK(nr >= 1 && nr <= 8);
	if (nr == 1)
		return; /* one window made them contiguous: then one vector is the right answer */
	v.room = nr - 1;
	CHECK_EQ(subject_vectors(s, s->unit, 8 * s->unit, &v), -E2BIG);
	v.room = nr;
	CHECK_EQ(subject_vectors(s, s->unit, 8 * s->unit, &v), nr);
}
