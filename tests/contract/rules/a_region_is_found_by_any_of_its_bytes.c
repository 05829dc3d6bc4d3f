// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_region_is_found_by_any_of_its_bytes, CAN_LIST | CAN_WHOLE)
{
	struct vas_region region = place_prepare(s, 2, 3);
	struct vas_region_entry entry;

	strcpy(region.name, "ram0");
	CHECK_OK(vas_region_add(s->owner, &region, NULL));
	place(s, 7, 1);
	CHECK_EQ(subject_region_at(s, 2 * s->unit - 1, &entry), -ENOENT);
	CHECK_EQ(subject_region_at(s, 5 * s->unit, &entry), -ENOENT);
	CHECK_EQ(subject_region_at(s, s->limit, &entry), -ENOENT);
	CHECK_EQ(subject_region_at(s, ~0ull, &entry), -ENOENT);
	for (uint64_t gpa = 2 * s->unit; gpa < 5 * s->unit; gpa += s->unit - 1) {
		CHECK_OK(subject_region_at(s, gpa, &entry));
		CHECK_EQ(entry.gpa, 2 * s->unit);
		CHECK_EQ(entry.size, 3 * s->unit);
		CHECK_EQ(entry.offset, region.offset);
		CHECK_EQ(entry.backing, s->backing);
		CHECK_STR(entry.name, "ram0");
	}
	CHECK_OK(subject_region_at(s, 5 * s->unit - 1, &entry));
}
