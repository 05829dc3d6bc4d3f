// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(an_observer_cannot_write, CAN_OBSERVE)
{
	uint8_t byte = 0xee;
	uint64_t map, val = 1, expected = 0;
	struct vectors v = { .prot = VAS_PROT_WRITE };
	size_t done;

	place(s, 1, 1);
	CHECK_EQ(subject_write(s, s->unit, &byte, 1, &done), -EACCES);
	CHECK_EQ(done, 0);
	CHECK_EQ(subject_fill(s, s->unit, 1, 1, &done), -EACCES);
	CHECK_EQ(done, 0);
	CHECK_EQ(subject_store(s, s->unit, 8, 1), -EACCES);
	CHECK_EQ(subject_rmw(s, REQ_OR, s->unit, 8, &val), -EACCES);
	CHECK_EQ(subject_cmpxchg(s, s->unit, 8, &expected, 1), -EACCES);
	CHECK_EQ(subject_vectors(s, s->unit, 8, &v), -EACCES);
	CHECK_EQ(subject_map(s, s->unit, s->unit, VAS_MAPPING_WRITE, &map), -EACCES);
	CHECK_EQ(owner_load8(s, s->unit), 0);
}
