// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(search_finds_the_first_match, CAN_SEARCH)
{
	/* Overlaps itself: a search that skips too far after a near miss goes past it. */
	static const char text[] = "aabaabaaab", hay[] = "aabaabaabaaabaabaaab";
	const struct vas_pattern needle = { .bytes = text, .len = sizeof(text) - 1 };
	uint64_t found;

	place(s, 1, 4);
	owner_write(s, 3 * s->unit + 77, hay, sizeof(hay) - 1);
	owner_write(s, 4 * s->unit + 77, text, sizeof(text) - 1);
	CHECK_OK(subject_search(s, 0, s->limit, &needle, &found));
	CHECK_EQ(found, 3 * s->unit + 77 + 3);
	CHECK_OK(subject_search(s, found + 1, s->limit - found - 1, &needle, &found));
	CHECK_EQ(found, 3 * s->unit + 77 + 10);
	CHECK_OK(subject_search(s, found + 1, s->limit - found - 1, &needle, &found));
	CHECK_EQ(found, 4 * s->unit + 77);
	CHECK_EQ(subject_search(s, found + 1, s->limit - found - 1, &needle, &found), -ENOENT);
}
