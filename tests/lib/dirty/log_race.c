// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * One mark meets one taker, a great many times: after each, either the taker has the page with the
 * byte that was written, or the log still has it.
 */
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/harness.h"
#include "core/log.h"

#define NR_PAGES (64ull * 64 * 2)
#define RACE_NS	 5000000000ull
#define MIN_NR	 1000
#define LAST	 UINT32_MAX

struct race {
	struct vas_log log;
	void *memory;		  /* the log's */
	uint32_t bytes[NR_PAGES]; /* guest memory, so to speak */
	uint32_t copies[NR_PAGES];
	uint64_t page; /* of this round */
	unsigned int delay;
	uint32_t round, done;
};

static void wait_for(const uint32_t *word, uint32_t value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
		sched_yield();
}

/* Mostly awake, so that the two meet; on a busy machine the other must have its turn. */
static uint32_t next_round(const struct race *r, uint32_t seen)
{
	unsigned int spins;
	uint32_t round;

	for (spins = 1;; spins++) {
		round = __atomic_load_n(&r->round, __ATOMIC_ACQUIRE);
		if (round != seen)
			return round;
		if (spins % 2000 == 0)
			sched_yield();
	}
}

static void *mark_each_round(void *arg)
{
	struct race *r = arg;
	volatile unsigned int i;
	uint32_t round, seen = 0;

	while ((round = next_round(r, seen)) != LAST) {
		seen = round;
		for (i = 0; i < r->delay; i++)
			;
		__atomic_store_n(&r->bytes[r->page], round, __ATOMIC_RELAXED);
		vas_log_mark_word(&r->log, r->page / 64, 1ull << r->page % 64);
		__atomic_store_n(&r->done, round, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void take_and_copy(struct race *r)
{
	struct vas_log_range range = { 0, NR_PAGES / 64 };
	struct vas_dirty_word words[8];
	uint64_t bits, page, nr = vas_log_take(&r->log, &range, words, 8), i;

	if (!nr)
		return;
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
	for (i = 0; i < nr; i++) {
		for (bits = words[i].bits; bits; bits &= bits - 1) {
			page = words[i].gpa / VAS_PAGE_SIZE + (uint64_t)__builtin_ctzll(bits);
			r->copies[page] = __atomic_load_n(&r->bytes[page], __ATOMIC_RELAXED);
		}
	}
}

static struct race *race_new(void)
{
	struct race *r = calloc(1, sizeof(*r));
	struct vas_log_layout layout;

	CHECK(r);
	vas_log_layout(NR_PAGES * VAS_PAGE_SIZE, &layout);
	r->memory = calloc(1, layout.size);
	CHECK(r->memory);
	vas_log_init(&r->log, r->memory, NR_PAGES * VAS_PAGE_SIZE);
	return r;
}

TEST(a_mark_that_meets_a_taker_is_not_lost)
{
	struct test_random random = { test_seed() };
	struct race *r = race_new();
	pthread_t thread;
	uint64_t deadline_ns = test_now_ns() + RACE_NS;
	uint32_t round;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		test_skip("no membarrier here");
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		test_skip("one processor: nothing meets");
	CHECK_EQ(pthread_create(&thread, NULL, mark_each_round, r), 0);
	for (round = 1; round <= MIN_NR || test_now_ns() < deadline_ns; round++) {
		r->page = test_random_below(&random, 4) * 4097 % NR_PAGES;
		r->delay = (unsigned int)test_random_below(&random, 60);
		/* Some rounds begin with the page marked: then the marker stops at W2, or nearly. */
		if (round % 2)
			vas_log_mark_word(&r->log, r->page / 64, 1ull << r->page % 64);
		__atomic_store_n(&r->round, round, __ATOMIC_RELEASE);
		take_and_copy(r);
		take_and_copy(r);
		wait_for(&r->done, round);
		take_and_copy(r);
		test_note("round %u", round);
		CHECK_EQ(r->copies[r->page], round);
	}
	__atomic_store_n(&r->round, LAST, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	free(r->memory);
	free(r);
}
