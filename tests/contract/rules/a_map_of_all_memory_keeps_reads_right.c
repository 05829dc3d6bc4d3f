// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

/* Maps and plain accesses do not get in each other's way. */
RULE(a_map_of_all_memory_keeps_reads_right, CAN_MAP | CAN_READ)
{
	uint8_t got[64], want[64];
	uint64_t map;

	place(s, 1, 4);
	owner_pattern(s, s->unit, 4 * s->unit, 1);
	pattern_make(want, 3 * s->unit - 32, sizeof(want), 1);
	for (int i = 0; i < 3; i++) {
		CHECK_OK(subject_map(s, s->unit, 4 * s->unit, 0, &map));
		CHECK_OK(subject_read(s, 3 * s->unit - 32, got, sizeof(got), NULL));
		CHECK_MEM(got, want, sizeof(want));
		CHECK_OK(subject_unmap(s, map));
		CHECK_OK(subject_read(s, 3 * s->unit - 32, got, sizeof(got), NULL));
		CHECK_MEM(got, want, sizeof(want));
	}
}
