// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(search_finds_across_region_borders, CAN_SEARCH)
{
	static const char text[] = "a needle of some length";
	const struct vas_pattern needle = { .bytes = text, .len = sizeof(text) };
	uint64_t found;

	place(s, 1, 1);
	place(s, 2, 1);
	place(s, 3, 1);
	CHECK_EQ(subject_search(s, 0, s->limit, &needle, &found), -ENOENT);
	for (uint64_t cut = 0; cut <= sizeof(text); cut++) {
		const uint64_t gpa = 2 * s->unit - cut;

		test_note("%llu bytes before the border", (unsigned long long)cut);
		owner_write(s, gpa, text, sizeof(text));
		CHECK_OK(subject_search(s, 0, s->limit, &needle, &found));
		CHECK_EQ(found, gpa);
		owner_store8(s, gpa, 0);
	}
}
