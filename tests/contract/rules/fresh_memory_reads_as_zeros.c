// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(fresh_memory_reads_as_zeros, CAN_READ)
{
	uint8_t got[3000];

	place(s, 5, 2);
	memset(got, 0xff, sizeof(got));
	CHECK_OK(subject_read(s, 6 * s->unit - 1500, got, sizeof(got), NULL));
	for (size_t i = 0; i < sizeof(got); i++)
		CHECK_EQ(got[i], 0);
}
