// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_writable_map_of_rom_is_refused, CAN_MAP | CAN_WRITE)
{
	uint64_t map;

	place(s, 1, 1);
	place_flags(s, 2, 1, VAS_REGION_READONLY);
	CHECK_EQ(subject_map(s, 2 * s->unit, 8, VAS_MAPPING_WRITE, &map), -EACCES);
	CHECK_EQ(subject_map(s, s->unit, 2 * s->unit, VAS_MAPPING_WRITE, &map), -EACCES);
	CHECK_OK(subject_map(s, s->unit, 2 * s->unit, 0, &map));
	CHECK_OK(subject_unmap(s, map));
}
