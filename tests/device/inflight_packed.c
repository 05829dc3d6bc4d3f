// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A device with a packed ring that dies at any store of taking and giving: what its successor does
 * again. Whatever it has stored up to then is in the part; the rest is not.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/inflight_packed.h"
#include "harness.h"

#define NR    8u
#define AVAIL VAS_PACKED_DESC_AVAIL
#define USED  VAS_PACKED_DESC_USED

static struct vas_packed_desc ring[NR];
static struct vas_packed_queue queue;
static struct inflight_packed it;
static uint16_t entries[INFLIGHT_MAX_DESCS];
static struct vas_packed_desc descs[INFLIGHT_MAX_DESCS];
static uint32_t base;

/* The driver has made all of the ring available, in its first round. */
static void make(void)
{
	struct vas_packed_event *events = calloc(2, sizeof(*events));

	it = (struct inflight_packed){ .size = NR };
	it.part = aligned_alloc(64, inflight_packed_size(NR));
	memset(it.part, 0, inflight_packed_size(NR));
	inflight_packed_init(it.part, 1, NR);
	inflight_packed_begin(it.part, VAS_PACKED_BASE);
	for (uint16_t i = 0; i < NR; i++)
		ring[i] = (struct vas_packed_desc){ 4096u * i, 100u + i, i, AVAIL };
	queue = (struct vas_packed_queue){
		.desc = ring,
		.driver = &events[0],
		.device = &events[1],
		.size = NR,
	};
	CHECK_OK(vas_packed_queue_start(&queue, VAS_PACKED_BASE));
}

/* A chain of so many descriptors; its id is its last one's. */
static struct vas_virtq_answer take(uint16_t nr)
{
	struct vas_virtq_chain chain = {
		.head = (uint16_t)((queue.next_avail & 0x7fff) + nr - 1),
		.nr_descs = nr,
	};

	CHECK_OK(inflight_packed_take(&it, &queue, &chain));
	vas_packed_queue_take(&queue, &chain);
	return (struct vas_virtq_answer){ chain.head, nr, 0 };
}

static void give(const struct vas_virtq_answer *answers, uint32_t nr)
{
	CHECK_OK(inflight_packed_before_give(&it, answers, nr));
	vas_packed_queue_give(&queue, answers, nr);
	inflight_packed_after_give(&it, answers, nr);
}

/* As a successor: with the part and the ring, and nothing else. */
static int recover(void)
{
	struct inflight_packed_part *part = it.part;

	it = (struct inflight_packed){ .part = part, .size = NR };
	return inflight_packed_recover(&it, ring, entries, &base);
}

static void is_again(int place, uint16_t first, uint16_t nr)
{
	CHECK_EQ(inflight_packed_chain(&it, entries[place], descs), nr);
	for (uint16_t i = 0; i < nr; i++) {
		CHECK_EQ(descs[i].gpa, 4096u * (first + i));
		CHECK_EQ(descs[i].len, 100u + first + i);
	}
	CHECK_EQ(descs[nr - 1].id, first + nr - 1);
}

TEST(nothing_was_taken)
{
	make();
	CHECK_EQ(recover(), 0);
	CHECK_EQ(base, VAS_PACKED_BASE);
}

TEST(what_was_taken_is_done_again_in_its_order)
{
	make();
	take(1);
	take(3);
	take(2);
	CHECK_EQ(recover(), 3);
	is_again(0, 0, 1);
	is_again(1, 1, 3);
	is_again(2, 4, 2);
	CHECK_EQ(base, (0x8006u | 0x8000u << 16));
}

TEST(what_was_answered_is_not)
{
	struct vas_virtq_answer answers[3];

	make();
	answers[0] = take(1);
	take(3);
	answers[1] = take(2);
	give(answers, 2);
	CHECK_EQ(recover(), 1);
	is_again(0, 1, 3);
	CHECK_EQ(base, (0x8006u | 0x8003u << 16));
}

/* The flag and the count are stored first, and the head at last. */
TEST(killed_within_a_take_it_was_not_taken)
{
	make();
	take(2);
	it.part->desc[2].num = 1;
	it.part->desc[2].counter = 1;
	it.part->desc[2].inflight = 1;
	it.part->free_head = 3;
	CHECK_EQ(recover(), 1);
	is_again(0, 0, 2);
	CHECK_EQ(base, (0x8002u | 0x8000u << 16));
}

TEST(killed_before_the_ring_is_written_all_is_done_again)
{
	struct vas_virtq_answer answers[2];

	make();
	answers[0] = take(1);
	answers[1] = take(3);
	CHECK_OK(inflight_packed_before_give(&it, answers, 2));
	CHECK_EQ(recover(), 2);
	is_again(0, 0, 1);
	is_again(1, 1, 3);
	CHECK_EQ(base, (0x8004u | 0x8000u << 16));
	/* And not otherwise when it dies again. */
	CHECK_EQ(recover(), 2);
}

TEST(killed_behind_the_ring_what_was_given_is_not)
{
	struct vas_virtq_answer answers[2];

	make();
	answers[0] = take(1);
	take(2);
	answers[1] = take(3);
	CHECK_OK(inflight_packed_before_give(&it, answers, 2));
	vas_packed_queue_give(&queue, answers, 2);
	CHECK_EQ(recover(), 1);
	is_again(0, 1, 2);
	CHECK_EQ(base, (0x8006u | 0x8004u << 16));
	CHECK_EQ(recover(), 1);
}

TEST(killed_with_half_of_the_flags_taken_back)
{
	struct vas_virtq_answer answers[2];

	make();
	answers[0] = take(1);
	take(2);
	answers[1] = take(3);
	CHECK_OK(inflight_packed_before_give(&it, answers, 2));
	vas_packed_queue_give(&queue, answers, 2);
	it.part->desc[it.entry_of[answers[0].head]].inflight = 0;
	CHECK_EQ(recover(), 1);
	is_again(0, 1, 2);
}

/* The driver has made the places available once more, in the round that follows. */
TEST(killed_behind_the_ring_and_the_driver_was_quick)
{
	struct vas_virtq_answer answer;

	make();
	answer = take(1);
	CHECK_OK(inflight_packed_before_give(&it, &answer, 1));
	vas_packed_queue_give(&queue, &answer, 1);
	ring[0].flags = USED;
	CHECK_EQ(recover(), 0);
	CHECK_EQ(base, (0x8001u | 0x8001u << 16));
}

/* A whole round, and all of it at once: the index is where it was, and the wrap counter is not. */
TEST(rounds_are_told_apart)
{
	struct vas_virtq_answer answer;

	make();
	answer = take(NR);
	CHECK_OK(inflight_packed_before_give(&it, &answer, 1));
	vas_packed_queue_give(&queue, &answer, 1);
	CHECK_EQ(recover(), 0);
	CHECK_EQ(base, 0);
}

/* A part that is filled in once more after it was looked at. */
TEST(a_chain_that_grows_after_it_was_counted_does_not)
{
	make();
	take(1);
	take(2);
	CHECK_EQ(recover(), 2);
	it.part->desc[entries[0]].num = NR;
	is_again(0, 0, 1);
	is_again(1, 1, 2);
}

/* ---- at any instruction --------------------------------------------------------------------- */

/* What others see of a process that is killed: the part and the ring. */
struct shared {
	struct vas_packed_desc ring[NR];
	_Alignas(64) uint8_t part[64 + NR * sizeof(struct inflight_packed_desc)];
};

/*
 * At 7 and, in the round that follows, at 0. So the next answer's place is 1, where the flags are
 * still those of a chain's second descriptor, of the round before.
 */
static struct vas_virtq_answer take_round_the_end(void)
{
	struct vas_virtq_chain chain = { .head = 0, .nr_descs = 2 };
	struct vas_virtq_answer answers[2];

	make();
	answers[0] = take(2);
	answers[1] = take(5);
	give(answers, 2);
	ring[0] = (struct vas_packed_desc){ 0, 100, 0, USED };
	CHECK_OK(inflight_packed_take(&it, &queue, &chain));
	vas_packed_queue_take(&queue, &chain);
	return (struct vas_virtq_answer){ 0, 2, 0 };
}

static void step_through_give(struct shared *shared, const struct vas_virtq_answer *answer)
{
	memcpy(shared->ring, ring, sizeof(ring));
	memcpy(shared->part, it.part, inflight_packed_size(NR));
	queue.desc = shared->ring;
	it.part = (void *)shared->part;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(77);
	raise(SIGSTOP);
	inflight_packed_before_give(&it, answer, 1);
	vas_packed_queue_give(&queue, answer, 1);
	inflight_packed_after_give(&it, answer, 1);
	_exit(0);
}

/* Either it was given, or it is done again. */
static bool is_given(const struct shared *shared)
{
	struct shared now = *shared;
	int nr;

	it = (struct inflight_packed){ .part = (void *)now.part, .size = NR };
	nr = inflight_packed_recover(&it, now.ring, entries, &base);
	CHECK(nr == 0 || nr == 1);
	CHECK_EQ(base, nr ? 0x0001u | 0x8007u << 16 : 0x0001u | 0x0001u << 16);
	return !nr;
}

TEST(killed_at_any_instruction_of_a_give_that_goes_round)
{
	struct vas_virtq_answer answer = take_round_the_end();
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *part = it.part; /* it has copies of that */
	bool was_given = false;
	int status, steps = 0;
	pid_t child;

	CHECK(shared != MAP_FAILED);
	child = fork();
	if (!child)
		step_through_give(shared, &answer);
	CHECK_EQ(waitpid(child, &status, 0), child);
	if (WIFEXITED(status))
		test_skip("no process can be traced here");
	while (WIFSTOPPED(status)) {
		bool given = is_given(shared);

		CHECK(given || !was_given);
		was_given = given;
		steps++;
		CHECK_OK(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL));
		CHECK_EQ(waitpid(child, &status, 0), child);
	}
	CHECK(WIFEXITED(status) && was_given && steps > 20);
	free(part);
}

TEST(anybodys_bytes_are_survived)
{
	struct test_random random = { test_seed() };

	make();
	for (int round = 0; round < 20000; round++) {
		struct vas_virtq_answer answer = { .head = (uint16_t)(round % NR), .nr_descs = 1 };
		struct vas_virtq_chain chain = { .head = answer.head, .nr_descs = 3 };
		uint8_t *bytes = (uint8_t *)it.part;
		int nr;

		for (size_t i = 0; i < inflight_packed_size(NR); i++)
			bytes[i] = (uint8_t)(test_random_next(&random) & 0x80ff >> round % 9);
		nr = recover();
		CHECK(nr <= (int)NR);
		for (int i = 0; i < nr; i++)
			CHECK(inflight_packed_chain(&it, entries[i], descs) <= (int)NR);
		inflight_packed_take(&it, &queue, &chain);
		inflight_packed_before_give(&it, &answer, 1);
		inflight_packed_after_give(&it, &answer, 1);
	}
}
