// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(typed_loads_are_little_endian, CAN_FIELD)
{
	static const uint8_t bytes[8] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xf8 };
	uint64_t val;

	place(s, 1, 1);
	owner_write(s, s->unit + 16, bytes, sizeof(bytes));
	CHECK_OK(subject_load(s, s->unit + 16, 1, &val));
	CHECK_EQ(val, 0x01);
	CHECK_OK(subject_load(s, s->unit + 23, 1, &val));
	CHECK_EQ(val, 0xf8);
	CHECK_OK(subject_load(s, s->unit + 18, 2, &val));
	CHECK_EQ(val, 0x0403);
	CHECK_OK(subject_load(s, s->unit + 20, 4, &val));
	CHECK_EQ(val, 0xf8070605);
	CHECK_OK(subject_load(s, s->unit + 16, 8, &val));
	CHECK_EQ(val, 0xf807060504030201ull);
}
