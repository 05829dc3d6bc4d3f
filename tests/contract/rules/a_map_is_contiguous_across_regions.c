// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_map_is_contiguous_across_regions, CAN_MAP)
{
	const uint64_t gpa = 2 * s->unit - 1000;
	uint8_t got[2000], want[2000];
	uint64_t map;

	place(s, 2, 1);
	place(s, 1, 1);
	owner_pattern(s, s->unit, 2 * s->unit, 4);
	pattern_make(want, gpa, sizeof(want), 4);
	CHECK_OK(subject_map(s, gpa, sizeof(want), 0, &map));
	CHECK_OK(subject_map_read(s, map, 0, got, sizeof(got)));
	CHECK_MEM(got, want, sizeof(want));
	CHECK_OK(subject_unmap(s, map));
}
