// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(search_honours_its_mask, CAN_SEARCH)
{
	static const uint8_t bytes[] = { 0x10, 0x00, 0x30, 0x0f };
	static const uint8_t mask[] = { 0xf0, 0x00, 0xff, 0x0f };
	static const uint8_t match[] = { 0x1c, 0x77, 0x30, 0xaf };
	static const uint8_t miss[] = { 0x1c, 0x77, 0x31, 0xaf };
	const struct vas_pattern needle = { bytes, mask, sizeof(bytes) };
	uint64_t found;

	place(s, 1, 2);
	owner_write(s, s->unit + 55, miss, sizeof(miss));
	CHECK_EQ(subject_search(s, 0, s->limit, &needle, &found), -ENOENT);
	owner_write(s, 2 * s->unit - 2, match, sizeof(match));
	CHECK_OK(subject_search(s, 0, s->limit, &needle, &found));
	CHECK_EQ(found, 2 * s->unit - 2);
}
