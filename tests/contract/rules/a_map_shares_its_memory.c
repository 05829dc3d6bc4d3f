// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_map_shares_its_memory, CAN_MAP | CAN_WRITE | CAN_READ)
{
	uint8_t byte = 0x42;
	uint64_t map;

	place(s, 1, 2);
	CHECK_OK(subject_map(s, s->unit, 2 * s->unit, VAS_MAPPING_WRITE, &map));
	CHECK_OK(subject_map_write(s, map, s->unit + 5, &byte, 1));
	CHECK_EQ(owner_load8(s, 2 * s->unit + 5), 0x42);
	owner_store8(s, s->unit + 7, 0x17);
	CHECK_OK(subject_map_read(s, map, 7, &byte, 1));
	CHECK_EQ(byte, 0x17);
	CHECK_OK(subject_unmap(s, map));
	CHECK_EQ(owner_load8(s, 2 * s->unit + 5), 0x42);
}
