// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <unistd.h>

#include "../subject.h"
#include "tests/patient.h"

RULE(a_map_in_the_way_stops_a_change_that_names_it, CAN_MAP | CAN_PIN | CAN_READ | CAN_WHOLE)
{
	const uint64_t id = place(s, 1, 2), other = place(s, 5, 1);
	struct vas_blocker blocker = { .kind = VAS_BLOCKER_NONE };
	struct vas_layout *layout;
	uint64_t map;
	uint8_t byte;

	CHECK_OK(subject_map(s, 2 * s->unit, s->unit, 0, &map));
	CHECK_OK(vas_layout_begin(s->owner, &layout));
	CHECK_OK(vas_layout_remove(layout, id));
	CHECK_EQ(vas_layout_commit(layout, 30000000, &blocker), -EBUSY);
	CHECK_EQ(blocker.kind, VAS_BLOCKER_PIN);
	CHECK_EQ(blocker.pid, s->pid ? s->pid : getpid());
	CHECK_EQ(blocker.gpa, 2 * s->unit);
	CHECK_EQ(blocker.size, s->unit);
	/* The old layout stands, and the map with it. */
	CHECK_OK(subject_read(s, s->unit, &byte, 1, NULL));
	CHECK_OK(subject_map_read(s, map, 0, &byte, 1));
	/* It is in nobody else's way. */
	CHECK_OK(patient_remove(s->owner, other));
	CHECK_OK(subject_unmap(s, map));
	CHECK_OK(patient_remove(s->owner, id));
	CHECK_EQ(subject_read(s, s->unit, &byte, 1, NULL), -EFAULT);
}
