// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(an_observer_leaves_no_trace, CAN_OBSERVE | CAN_READ)
{
	struct vas_info before, after;
	uint8_t buf[16];
	uint64_t map;

	place(s, 1, 1);
	owner_load8(s, s->unit); /* so that the owner's thread has its slot */
	CHECK_OK(vas_info(s->owner, &before));
	CHECK_OK(subject_rebind(s, -1));
	CHECK_OK(subject_read(s, s->unit, buf, sizeof(buf), NULL));
	CHECK_OK(subject_map(s, s->unit, s->unit, 0, &map));
	CHECK_OK(vas_info(s->owner, &after));
	CHECK_EQ(after.nr_binders, before.nr_binders);
	CHECK_EQ(after.nr_threads, before.nr_threads);
	CHECK_EQ(after.nr_pins, before.nr_pins);
	CHECK_OK(subject_unmap(s, map));
}
