// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(search_stays_in_its_range, CAN_SEARCH)
{
	static const char text[] = "edges";
	const struct vas_pattern needle = { .bytes = text, .len = 5 };
	const uint64_t gpa = s->unit + 1000;
	uint64_t found;

	place(s, 1, 1);
	owner_write(s, gpa, text, 5);
	CHECK_OK(subject_search(s, gpa, 5, &needle, &found));
	CHECK_EQ(found, gpa);
	CHECK_EQ(subject_search(s, gpa, 4, &needle, &found), -ENOENT);
	CHECK_EQ(subject_search(s, gpa + 1, 100, &needle, &found), -ENOENT);
	CHECK_EQ(subject_search(s, gpa - 100, 104, &needle, &found), -ENOENT);
	CHECK_EQ(subject_search(s, gpa, 0, &needle, &found), -ENOENT);
	CHECK_OK(subject_search(s, 0, ~0ull, &needle, &found));
	CHECK_EQ(found, gpa);
}
