// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

RULE(a_misaligned_field_is_refused, CAN_FIELD)
{
	uint64_t val;

	place(s, 1, 2);
	for (unsigned int width = 2; width <= 8; width *= 2)
		for (unsigned int off = 1; off < width; off++) {
			test_note("width %u at %u", width, off);
			CHECK_EQ(subject_load(s, s->unit + off, width, &val), -EINVAL);
			CHECK_EQ(subject_store(s, s->unit + off, width, 1), -EINVAL);
			/* Over the end of a page, too. */
			CHECK_EQ(subject_load(s, 2 * s->unit - off, width, &val), -EINVAL);
		}
	for (unsigned int off = 0; off < 8; off++)
		CHECK_OK(subject_load(s, s->unit + off, 1, &val));
}
