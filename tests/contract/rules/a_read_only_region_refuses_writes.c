// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_read_only_region_refuses_writes, CAN_READ | CAN_WRITE | CAN_FILL | CAN_FIELD)
{
	uint8_t buf[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint64_t val = 1;
	size_t done;

	place_flags(s, 1, 1, VAS_REGION_READONLY);
	CHECK_EQ(subject_write(s, s->unit, buf, sizeof(buf), &done), -EACCES);
	CHECK_EQ(done, 0);
	CHECK_EQ(subject_fill(s, s->unit, 1, 8, &done), -EACCES);
	CHECK_EQ(done, 0);
	CHECK_EQ(subject_store(s, s->unit, 4, 1), -EACCES);
	CHECK_EQ(subject_rmw(s, REQ_ADD, s->unit, 4, &val), -EACCES);
	CHECK_OK(subject_read(s, s->unit, buf, sizeof(buf), &done));
	for (size_t i = 0; i < sizeof(buf); i++)
		CHECK_EQ(buf[i], 0);
}
