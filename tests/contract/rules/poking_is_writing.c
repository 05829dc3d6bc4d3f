// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "../subject.h"

#define MOST (5 * VAS_PAGE_SIZE)
#define EDGE 100

struct edge {
	uint8_t bytes[EDGE];
	size_t done;
};

static void read_edge(struct subject *s, uint64_t gpa, struct edge *edge)
{
	memset(edge, 0, sizeof(*edge));
	subject_read(s, gpa, edge->bytes, EDGE, &edge->done);
}

/* Pages of zeros, which may stay untouched, and others. */
static void make_bytes(struct test_random *random, uint8_t *bytes)
{
	for (size_t at = 0; at < MOST; at += VAS_PAGE_SIZE) {
		uint64_t seed = test_random_below(random, 3);

		memset(bytes + at, 0, VAS_PAGE_SIZE);
		if (seed)
			pattern_make(bytes + at, at, VAS_PAGE_SIZE, seed);
	}
}

/* It gets as far as a read does, and then exactly these bytes are there, and no others. */
static void check_poke(struct subject *s, struct test_random *random, uint64_t gpa, size_t len)
{
	static uint8_t bytes[MOST], got[MOST];
	struct edge before[2], after[2];
	size_t done, readable;
	int err;

	test_note("[%#llx, +%zu)", (unsigned long long)gpa, len);
	make_bytes(random, bytes);
	read_edge(s, gpa - EDGE, &before[0]);
	read_edge(s, gpa + len, &before[1]);
	err = subject_read(s, gpa, got, len, &readable);
	CHECK_EQ(subject_poke(s, gpa, bytes, len, &done), err);
	CHECK_EQ(done, readable);
	subject_read(s, gpa, got, len, &readable);
	CHECK_EQ(readable, done);
	CHECK_MEM(got, bytes, done);
	read_edge(s, gpa - EDGE, &after[0]);
	read_edge(s, gpa + len, &after[1]);
	CHECK_MEM(after, before, sizeof(after));
}

RULE(poking_is_writing, CAN_READ | CAN_WRITE | CAN_PEEK)
{
	struct test_random random = { test_seed() };
	uint64_t end = 6 * s->unit;
	int i;

	place(s, 1, 1);
	place(s, 2, 2);
	place(s, 5, 1);
	owner_pattern(s, 2 * s->unit - 100, 3000, 1);
	check_poke(s, &random, 2 * s->unit - 200, 3 * VAS_PAGE_SIZE);
	check_poke(s, &random, 4 * s->unit - 50, 100);
	check_poke(s, &random, 4 * s->unit, 1);
	check_poke(s, &random, end - 1, 2);
	check_poke(s, &random, end, 0);
	for (i = 0; i < 100; i++)
		check_poke(s, &random, s->unit / 2 + test_random_below(&random, end),
			   test_random_below(&random, MOST + 1));
}
