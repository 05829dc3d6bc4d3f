// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"
#include "tests/patient.h"

static int notified_of_layout(struct subject *s)
{
	for (int i = 0; i < 10; i++) {
		int told = subject_notified(s, TEST_HANG_MS);

		CHECK(told > 0);
		if (told & VAS_NOTIFY_LAYOUT)
			return 1;
	}
	return 0;
}

RULE(a_layout_change_is_notified, CAN_NOTIFY | CAN_WHOLE)
{
	uint64_t id;

	CHECK_OK(subject_notified(s, 0)); /* from here on */
	id = place(s, 1, 1);
	CHECK(notified_of_layout(s));
	CHECK_OK(patient_remove(s->owner, id));
	CHECK(notified_of_layout(s));
}
