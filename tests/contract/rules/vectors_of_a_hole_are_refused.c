// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(vectors_of_a_hole_are_refused, CAN_VECTORS)
{
	struct vectors v = { .prot = VAS_PROT_READ };

	place(s, 1, 1);
	place(s, 3, 1);
	CHECK_EQ(subject_vectors(s, 2 * s->unit - 8, 16, &v), -EFAULT);
	CHECK_EQ(subject_vectors(s, 2 * s->unit, 8, &v), -EFAULT);
	CHECK_EQ(subject_vectors(s, 3 * s->unit - 8, 16, &v), -EFAULT);
	CHECK_EQ(subject_vectors(s, s->unit + 8, ~0ull, &v), -EFAULT);
	CHECK_EQ(subject_vectors(s, ~0ull - 8, 64, &v), -EFAULT);
}
