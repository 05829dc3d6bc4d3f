// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(vectors_cover_exactly_the_range, CAN_VECTORS)
{
	const uint64_t gpa = 2 * s->unit - 333;
	struct vectors v = { .prot = VAS_PROT_READ };
	uint8_t want[1000];
	uint64_t sum = 0;
	int nr;

	place(s, 3, 1);
	place(s, 2, 1);
	place(s, 1, 1);
	owner_pattern(s, s->unit, 3 * s->unit, 1);
	pattern_make(want, gpa, sizeof(want), 1);
	nr = subject_vectors(s, gpa, sizeof(want), &v);
	CHECK(nr >= 1 && nr <= 2);
	for (int i = 0; i < nr; i++) {
		CHECK(v.lens[i] > 0);
		sum += v.lens[i];
	}
	CHECK_EQ(sum, sizeof(want));
	CHECK_MEM(v.bytes, want, sizeof(want));
}
