// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <vas/format.h>

#include "../harness.h"

#define LIMIT (100000ull << VAS_PAGE_SHIFT)

static struct vas_log log_of(void **memory)
{
	struct vas_log_layout layout;
	struct vas_log log;

	vas_log_layout(LIMIT, &layout);
	*memory = calloc(1, layout.size);
	CHECK(*memory);
	vas_log_init(&log, *memory, LIMIT);
	return log;
}

static int is_marked(const struct vas_log *log, uint64_t page)
{
	return log->words[page / 64] >> (page % 64) & 1;
}

/* Each level says exactly what the one below holds, or more: never less. */
static void check_levels(const struct vas_log *log)
{
	const uint64_t nr_words = (log->nr_pages + 63) / 64;

	for (uint64_t i = 0; i < nr_words; i++)
		if (log->words[i])
			CHECK(log->summary[i / 64] >> (i % 64) & 1);
	for (uint64_t i = 0; i < (nr_words + 63) / 64; i++)
		if (log->summary[i])
			CHECK(log->top[i / 64] >> (i % 64) & 1);
}

TEST(parts_lie_one_after_the_other)
{
	for (int bits = 12; bits <= 52; bits++) {
		struct vas_log_layout layout;
		uint64_t pages = 1ull << (bits - 12), words = (pages + 63) / 64;
		uint64_t summary = (words + 63) / 64, top = (summary + 63) / 64;

		vas_log_layout(1ull << bits, &layout);
		CHECK(layout.summary_offset >= words * 8);
		CHECK(layout.top_offset >= layout.summary_offset + summary * 8);
		CHECK(layout.size >= layout.top_offset + top * 8);
		CHECK_EQ(layout.size % VAS_PAGE_SIZE, 0);
		CHECK(layout.size <= words * 8 + summary * 8 + top * 8 + 3 * VAS_PAGE_SIZE);
	}
}

TEST(a_mark_covers_each_page_that_it_touches)
{
	static const struct {
		uint64_t gpa, len, first, nr;
	} cases[] = {
		{ 0, 1, 0, 1 },
		{ 4095, 1, 0, 1 },
		{ 4095, 2, 0, 2 },
		{ 4096, 4096, 1, 1 },
		{ 63 * 4096, 4097, 63, 2 },
		{ 64 * 4096 - 1, 1, 63, 1 },
		{ 100 * 4096 + 5, 64 * 4096, 100, 65 },
		{ 0, 1000 * 4096, 0, 1000 },
		{ 70000ull * 4096, 8192 * 4096ull, 70000, 8192 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		void *memory;
		struct vas_log log = log_of(&memory);

		test_note("case %zu", i);
		vas_log_mark(&log, cases[i].gpa, cases[i].len);
		for (uint64_t page = 0; page < log.nr_pages; page++)
			CHECK_EQ(is_marked(&log, page), page - cases[i].first < cases[i].nr);
		check_levels(&log);
		free(memory);
	}
}

TEST(a_mark_at_the_end_stays_within_the_log)
{
	static const uint64_t lens[] = { 1, 4096, 1 << 20, ~0ull, 1ull << 63, ~0ull - LIMIT };
	void *memory;
	struct vas_log log = log_of(&memory);

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		vas_log_mark(&log, LIMIT - 1, lens[i]);
	CHECK(is_marked(&log, log.nr_pages - 1));
	CHECK(!is_marked(&log, log.nr_pages - 2));
	vas_log_mark(&log, LIMIT, 1);
	vas_log_mark(&log, ~0ull, ~0ull);
	vas_log_mark(&log, 0, 0);
	CHECK(!is_marked(&log, 0));
	check_levels(&log);
	free(memory);
}

struct marker {
	const struct vas_log *log;
	uint64_t first;
};

static void *mark(void *arg)
{
	const struct marker *m = arg;

	for (uint64_t page = m->first; page < m->log->nr_pages; page += 2)
		vas_log_mark(m->log, page << VAS_PAGE_SHIFT, 1);
	return NULL;
}

TEST(the_next_word_is_the_first_that_is_marked)
{
	struct test_random random = { test_seed() };
	void *memory;
	struct vas_log log = log_of(&memory);
	const uint64_t nr = (log.nr_pages + 63) / 64;

	CHECK_EQ(vas_log_next(&log, 0, nr), nr);
	for (int i = 0; i < 20; i++)
		vas_log_mark_word(&log, test_random_below(&random, nr), 1);
	for (int i = 0; i < 2000; i++) {
		uint64_t from = test_random_below(&random, nr);
		uint64_t end = test_random_below(&random, nr + 1), want = from;

		while (want < end && !log.words[want])
			want++;
		test_note("[%llu, %llu)", (unsigned long long)from, (unsigned long long)end);
		CHECK_EQ(vas_log_next(&log, from, end), want < end ? want : end);
	}
	free(memory);
}

TEST(marks_of_two_threads_lose_nothing)
{
	void *memory;
	struct vas_log log = log_of(&memory);
	struct marker m[2] = { { &log, 0 }, { &log, 1 } };
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, mark, &m[0]), 0);
	mark(&m[1]);
	pthread_join(thread, NULL);
	for (uint64_t page = 0; page < log.nr_pages; page++)
		CHECK(is_marked(&log, page));
	check_levels(&log);
	free(memory);
}
