// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

static void check(struct subject *s, enum request_op op, uint64_t operand, uint64_t want)
{
	for (unsigned int width = 1; width <= 8; width *= 2) {
		const uint64_t mask = ~0ull >> (64 - 8 * width);
		uint64_t val = operand & mask, now;

		test_note("op %d, width %u", (int)op, width);
		CHECK_OK(subject_store(s, s->unit + 8, width, 0xf0f0f0f0f0f0f0f0ull & mask));
		CHECK_OK(subject_rmw(s, op, s->unit + 8, width, &val));
		CHECK_EQ(val, 0xf0f0f0f0f0f0f0f0ull & mask);
		CHECK_OK(subject_load(s, s->unit + 8, width, &now));
		CHECK_EQ(now, want & mask);
	}
}

RULE(read_modify_write_returns_the_old_value, CAN_FIELD | CAN_WRITE)
{
	place(s, 1, 1);
	check(s, REQ_ADD, 0x0f, 0xf0f0f0f0f0f0f0ffull);
	check(s, REQ_OR, 0x0a, 0xf0f0f0f0f0f0f0faull);
	check(s, REQ_AND, 0x3333333333333333ull, 0x3030303030303030ull);
	check(s, REQ_EXCHANGE, 0x1122334455667788ull, 0x1122334455667788ull);
}
