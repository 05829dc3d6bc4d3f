// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(regions_swap_places_in_one_change, CAN_READ | CAN_WHOLE)
{
	const uint64_t a = place(s, 1, 1), b = place(s, 2, 1);
	struct vas_layout *layout;
	uint8_t got[32], want[32];

	owner_pattern(s, s->unit, s->unit, 1);
	owner_pattern(s, 2 * s->unit, s->unit, 2);
	CHECK_OK(vas_layout_begin(s->owner, &layout));
	CHECK_EQ(vas_layout_move(layout, a, 2 * s->unit), -EEXIST);
	CHECK_OK(vas_layout_move(layout, a, 5 * s->unit));
	CHECK_OK(vas_layout_move(layout, b, s->unit));
	CHECK_OK(vas_layout_move(layout, a, 2 * s->unit));
	/* Nothing shows before the commit. */
	CHECK_OK(subject_read(s, s->unit, got, sizeof(got), NULL));
	pattern_make(want, s->unit, sizeof(want), 1);
	CHECK_MEM(got, want, sizeof(want));
	CHECK_OK(vas_layout_commit(layout, TEST_HANG_NS, NULL));
	CHECK_OK(subject_read(s, 2 * s->unit, got, sizeof(got), NULL));
	CHECK_MEM(got, want, sizeof(want));
	CHECK_OK(subject_read(s, s->unit, got, sizeof(got), NULL));
	pattern_make(want, 2 * s->unit, sizeof(want), 2);
	CHECK_MEM(got, want, sizeof(want));
}
