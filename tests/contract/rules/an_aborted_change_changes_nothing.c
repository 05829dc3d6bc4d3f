// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(an_aborted_change_changes_nothing, CAN_READ | CAN_LIST | CAN_WHOLE)
{
	const uint64_t id = place(s, 1, 1), generation = vas_generation(s->owner);
	struct vas_region region = place_prepare(s, 3, 1);
	struct vas_region_entry list[4];
	struct vas_layout *layout;
	uint8_t byte;

	CHECK_OK(vas_layout_begin(s->owner, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_OK(vas_layout_add(layout, &region, NULL));
	vas_layout_abort(layout);
	CHECK_EQ(subject_regions(s, list, 4), 1);
	CHECK_EQ(list[0].id, id);
	CHECK_OK(subject_read(s, s->unit, &byte, 1, NULL));
	CHECK_EQ(subject_read(s, 3 * s->unit, &byte, 1, NULL), -EFAULT);
	CHECK_EQ(vas_generation(s->owner), generation);
}
