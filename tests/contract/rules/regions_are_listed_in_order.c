// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(regions_are_listed_in_order, CAN_LIST)
{
	static const uint64_t at[] = { 9, 1, 5, 3, 7 };
	struct vas_region_entry list[8];
	uint64_t ids[10] = { 0 };

	CHECK_EQ(subject_regions(s, list, 8), 0);
	for (size_t i = 0; i < 5; i++)
		ids[at[i]] = place_flags(s, at[i], 1, at[i] == 5 ? VAS_REGION_READONLY : 0);
	CHECK_EQ(subject_regions(s, list, 8), 5);
	for (uint64_t i = 0; i < 5; i++) {
		CHECK_EQ(list[i].gpa, (2 * i + 1) * s->unit);
		CHECK_EQ(list[i].size, s->unit);
		CHECK_EQ(list[i].id, ids[2 * i + 1]);
		CHECK_EQ(list[i].flags, i == 2 ? VAS_REGION_READONLY : 0);
	}
	/* Room for two: two are stored, and the number that there are is told. */
	memset(list, 0xee, sizeof(list));
	CHECK_EQ(subject_regions(s, list, 2), 5);
	CHECK_EQ(list[1].gpa, 3 * s->unit);
	CHECK_EQ(subject_regions(s, list, 0), 5);
}
