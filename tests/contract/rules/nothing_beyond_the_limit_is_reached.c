// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(nothing_beyond_the_limit_is_reached, CAN_READ)
{
	const uint64_t last = s->limit - s->unit;
	uint8_t buf[64];
	size_t done;

	/* The region ends at the limit; in the file, the control area is what follows. */
	place(s, last / s->unit, 1);
	CHECK_EQ(subject_read(s, s->limit - 16, buf, 64, &done), -EFAULT);
	CHECK_EQ(done, 16);
	CHECK_EQ(subject_read(s, s->limit, buf, 1, &done), -EFAULT);
	CHECK_EQ(subject_read(s, s->limit + s->unit, buf, 1, &done), -EFAULT);
	CHECK_EQ(subject_read(s, VAS_MAX_GPA, buf, 1, &done), -EFAULT);
	CHECK_EQ(subject_read(s, 1ull << 63, buf, 1, &done), -EFAULT);
	CHECK_EQ(subject_read(s, ~0ull, buf, 1, &done), -EFAULT);
	CHECK_EQ(done, 0);
}
