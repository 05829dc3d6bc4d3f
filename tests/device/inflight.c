// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A device that dies at any store of taking and giving: what its successor does again. */
#include <stdlib.h>
#include <string.h>

#include "device/inflight.h"
#include "harness.h"

#define NR 8u

static struct inflight_queue *part;
static uint16_t heads[NR];
static uint64_t counter;

static void make(void)
{
	part = aligned_alloc(64, inflight_queue_size(NR));
	memset(part, 0, inflight_queue_size(NR));
	inflight_init(part, 1, NR);
}

static void take(uint16_t head)
{
	inflight_take(part, head, counter++);
}

TEST(nothing_was_taken)
{
	make();
	CHECK_EQ(part->version, INFLIGHT_VERSION);
	CHECK_EQ(part->desc_num, NR);
	CHECK_EQ(inflight_recover(part, NR, 0, heads, &counter), 0);
}

TEST(what_was_taken_is_done_again_in_its_order)
{
	make();
	take(5);
	take(1);
	take(7);
	CHECK_EQ(inflight_recover(part, NR, 0, heads, &counter), 3);
	CHECK_EQ(heads[0], 5);
	CHECK_EQ(heads[1], 1);
	CHECK_EQ(heads[2], 7);
	CHECK_EQ(counter, 3);
}

static void take_three_and_begin_to_give_two(struct vas_virtq_answer answers[2])
{
	make();
	take(5);
	take(1);
	take(7);
	answers[0] = (struct vas_virtq_answer){ .head = 7 };
	answers[1] = (struct vas_virtq_answer){ .head = 5 };
	inflight_before_give(part, answers, 2);
}

TEST(killed_before_the_used_index_all_is_done_again)
{
	struct vas_virtq_answer answers[2];

	take_three_and_begin_to_give_two(answers);
	CHECK_EQ(inflight_recover(part, NR, 0, heads, &counter), 3);
}

TEST(killed_behind_the_used_index_what_was_given_is_not)
{
	struct vas_virtq_answer answers[2];

	take_three_and_begin_to_give_two(answers);
	CHECK_EQ(inflight_recover(part, NR, 2, heads, &counter), 1);
	CHECK_EQ(heads[0], 1);
	/* And not once more, when it dies again. */
	CHECK_EQ(inflight_recover(part, NR, 2, heads, &counter), 1);
}

TEST(killed_with_half_of_the_flags_taken_back)
{
	struct vas_virtq_answer answers[2];

	take_three_and_begin_to_give_two(answers);
	part->desc[7].inflight = 0;
	CHECK_EQ(inflight_recover(part, NR, 2, heads, &counter), 1);
	CHECK_EQ(heads[0], 1);
}

TEST(after_all_of_it_the_same)
{
	struct vas_virtq_answer answers[2];

	take_three_and_begin_to_give_two(answers);
	inflight_after_give(part, answers, 2, 2);
	CHECK_EQ(inflight_recover(part, NR, 2, heads, &counter), 1);
	CHECK_EQ(heads[0], 1);
}

TEST(indices_wrap)
{
	struct vas_virtq_answer answer = { .head = 3 };

	make();
	part->used_idx = 0xffff;
	take(3);
	take(4);
	inflight_before_give(part, &answer, 1);
	CHECK_EQ(inflight_recover(part, NR, 0, heads, &counter), 1);
	CHECK_EQ(heads[0], 4);
}

/* A front end may write anything there: in bounds, and it ends. */
TEST(any_bytes_are_survived)
{
	struct test_random random = { test_seed() };

	make();
	for (int round = 0; round < 20000; round++) {
		uint8_t *bytes = (uint8_t *)part;
		uint32_t nr;

		for (size_t i = 0; i < inflight_queue_size(NR); i++)
			bytes[i] = (uint8_t)test_random_next(&random);
		nr = inflight_recover(part, NR, (uint16_t)test_random_next(&random), heads,
				      &counter);
		CHECK(nr <= NR);
		for (uint32_t i = 0; i < nr; i++)
			CHECK(heads[i] < NR);
	}
}
