// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

static uint32_t pins(struct subject *s)
{
	struct vas_info info;

	CHECK_OK(vas_info(s->owner, &info));
	return info.nr_pins;
}

RULE(a_map_is_counted_as_a_pin, CAN_MAP | CAN_PIN)
{
	uint64_t map[3];

	place(s, 1, 2);
	CHECK_EQ(pins(s), 0);
	for (unsigned int i = 0; i < 3; i++) {
		CHECK_OK(subject_map(s, s->unit, s->unit, 0, &map[i]));
		CHECK_EQ(pins(s), i + 1);
	}
	for (unsigned int i = 3; i-- > 0;) {
		CHECK_OK(subject_unmap(s, map[i]));
		CHECK_EQ(pins(s), i);
	}
}
