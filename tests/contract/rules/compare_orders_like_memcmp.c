// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

static void check(struct subject *s, const uint8_t *with, int order, size_t equal)
{
	struct comparison c;

	CHECK_OK(subject_compare(s, 2 * s->unit - 100, with, 200, &c));
	CHECK_EQ(c.order > 0, order > 0);
	CHECK_EQ(c.order < 0, order < 0);
	CHECK_EQ(c.done, equal);
}

/* The order is guest memory's against the buffer's. */
RULE(compare_orders_like_memcmp, CAN_COMPARE)
{
	static const size_t places[] = { 0, 1, 7, 8, 99, 100, 101, 198, 199 };
	uint8_t buf[200];

	place(s, 1, 1);
	place(s, 2, 1);
	memset(buf, 0x80, sizeof(buf));
	owner_write(s, 2 * s->unit - 100, buf, sizeof(buf));
	check(s, buf, 0, 200);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		test_note("difference at %zu", places[i]);
		buf[places[i]] = 0x7f;
		check(s, buf, 1, places[i]);
		buf[places[i]] = 0x81; /* as unsigned bytes */
		check(s, buf, -1, places[i]);
		buf[places[i]] = 0x80;
	}
}
