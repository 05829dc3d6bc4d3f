// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_length_of_zero_does_nothing, CAN_READ)
{
	uint8_t byte = 0x5a;
	size_t done;

	place(s, 1, 1);
	CHECK_EQ(subject_read(s, s->unit, &byte, 0, &done), 0);
	CHECK_EQ(done, 0);
	CHECK_EQ(byte, 0x5a);
	/* One past the last byte is a place where nothing can be read, and nothing is. */
	CHECK_EQ(subject_read(s, 2 * s->unit, &byte, 0, &done), 0);
	CHECK_EQ(done, 0);
}
