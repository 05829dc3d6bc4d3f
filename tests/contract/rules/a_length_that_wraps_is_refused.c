// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_length_that_wraps_is_refused, CAN_READ)
{
	static const uint64_t starts[] = { ~0ull, ~0ull - 7, ~0ull - 4095, 1ull << 63 };
	uint8_t buf[64];
	size_t done;

	place(s, 0, 1);
	owner_pattern(s, 0, 64, 1);
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		test_note("gpa %#llx", (unsigned long long)starts[i]);
		CHECK_EQ(subject_read(s, starts[i], buf, sizeof(buf), &done), -EFAULT);
		CHECK_EQ(done, 0);
	}
}
