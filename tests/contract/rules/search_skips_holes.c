// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(search_skips_holes, CAN_SEARCH)
{
	static const char text[] = "beyond the hole";
	const struct vas_pattern needle = { .bytes = text, .len = sizeof(text) };
	uint64_t found;

	place(s, 1, 1);
	place(s, 7, 1);
	/* The two halves at both sides of the hole are no match. */
	owner_write(s, 2 * s->unit - 6, text, 6);
	owner_write(s, 7 * s->unit, text + 6, sizeof(text) - 6);
	CHECK_EQ(subject_search(s, 0, s->limit, &needle, &found), -ENOENT);
	owner_write(s, 8 * s->unit - sizeof(text), text, sizeof(text));
	CHECK_OK(subject_search(s, 0, s->limit, &needle, &found));
	CHECK_EQ(found, 8 * s->unit - sizeof(text));
}
