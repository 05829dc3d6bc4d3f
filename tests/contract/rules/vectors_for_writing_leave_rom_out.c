// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(vectors_for_writing_leave_rom_out, CAN_VECTORS | CAN_WRITE)
{
	struct vectors v = { .prot = VAS_PROT_WRITE };

	place(s, 1, 1);
	place_flags(s, 2, 1, VAS_REGION_READONLY);
	CHECK_EQ(subject_vectors(s, 2 * s->unit - 8, 16, &v), -EACCES);
	CHECK_EQ(subject_vectors(s, 2 * s->unit, 8, &v), -EACCES);
	CHECK_EQ(subject_vectors(s, 2 * s->unit - 8, 8, &v), 1);
	v.prot = VAS_PROT_READ;
	CHECK(subject_vectors(s, 2 * s->unit - 8, 16, &v) > 0);
}
