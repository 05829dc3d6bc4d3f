// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(search_finds_zeros_in_untouched_memory, CAN_SEARCH)
{
	static const uint8_t zeros[32];
	const struct vas_pattern needle = { .bytes = zeros, .len = sizeof(zeros) };
	uint64_t found;

	place(s, 9, 2);
	CHECK_OK(subject_search(s, 0, s->limit, &needle, &found));
	CHECK_EQ(found, 9 * s->unit);
	owner_pattern(s, 9 * s->unit, s->unit, 1);
	CHECK_OK(subject_search(s, 0, s->limit, &needle, &found));
	CHECK_EQ(found, 10 * s->unit);
}
