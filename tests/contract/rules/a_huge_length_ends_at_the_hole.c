// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

/* Lengths that reach over the end of all addresses, or that are negative in disguise. */
RULE(a_huge_length_ends_at_the_hole, CAN_FILL | CAN_WRITE)
{
	static const uint64_t lens[] = { ~0ull, ~0ull - 0xfff, 1ull << 63, VAS_MAX_GPA,
					 1ull << 32 };
	const uint64_t gpa = s->unit + 8;
	size_t done;

	place(s, 1, 1);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		test_note("len %#llx", (unsigned long long)lens[i]);
		CHECK_EQ(subject_fill(s, gpa, (uint8_t)(i + 1), lens[i], &done), -EFAULT);
		CHECK_EQ(done, s->unit - 8);
		CHECK_EQ(owner_load8(s, gpa), i + 1);
		CHECK_EQ(owner_load8(s, 2 * s->unit - 1), i + 1);
		CHECK_EQ(owner_load8(s, gpa - 1), 0);
	}
}
