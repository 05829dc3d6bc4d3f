// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

/* Both must say the same, byte for byte: of what was written, was never touched, or is not there.
 */
static void check_both(struct subject *s, uint64_t gpa, size_t len)
{
	static uint8_t got[3 * VAS_PAGE_SIZE], want[3 * VAS_PAGE_SIZE];
	size_t done, peeked;
	int err;

	test_note("[%#llx, +%zu)", (unsigned long long)gpa, len);
	err = subject_peek(s, gpa, got, len, &peeked);
	CHECK_EQ(err, subject_read(s, gpa, want, len, &done));
	CHECK_EQ(peeked, done);
	CHECK_MEM(got, want, done);
}

RULE(peeking_is_reading, CAN_READ | CAN_PEEK)
{
	struct test_random random = { test_seed() };
	uint64_t end = 6 * s->unit;
	int i;

	place(s, 1, 1);
	place(s, 2, 2);
	place(s, 5, 1);
	owner_pattern(s, 2 * s->unit - 100, 3000, 1);
	owner_pattern(s, 4 * s->unit - 5000 % s->unit, 100, 2);
	check_both(s, 2 * s->unit - 200, 3 * VAS_PAGE_SIZE);
	check_both(s, 4 * s->unit - 50, 100);
	check_both(s, 4 * s->unit, 1);
	check_both(s, end - 1, 2);
	check_both(s, end, 0);
	for (i = 0; i < 50; i++)
		check_both(s, s->unit / 2 + test_random_below(&random, end),
			   test_random_below(&random, 3 * VAS_PAGE_SIZE + 1));
}
