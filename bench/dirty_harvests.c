// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Harvesting, beside a flat scan. */
#include <errno.h>

#include "dirty.h"

#define HUGE_LIMIT (12ULL << 40)
#define NR_SPARSE  1000

static void mark_some(struct dirty *d)
{
	if (vas_enter(d->vas))
		return;
	for (uint64_t i = 0; i < d->nr_gpas; i++)
		vas_mark(d->vas, d->gpas[i], 8);
	vas_leave(d->vas);
}

static uint64_t marks_alone(void *ctx, uint64_t nr)
{
	struct dirty *d = ctx;

	/* They have to be first marks, as the harvest's are: on a bitmap without levels. */
	while (nr--)
		for (uint64_t i = 0; i < d->nr_gpas; i++) {
			uint64_t page = d->gpas[i] / VAS_PAGE_SIZE;

			__atomic_fetch_xor(&d->flat[page / 64], 1ULL << page % 64,
					   __ATOMIC_SEQ_CST);
		}
	return 0;
}

static void set_words(uint64_t *words, uint64_t nr, uint64_t bits)
{
	for (uint64_t i = 0; i < nr; i++)
		__atomic_store_n(&words[i], bits, __ATOMIC_RELAXED);
}

/* Every word, half of its pages, and all that is above them: the rest of the log. */
static void mark_half(struct dirty *d)
{
	uint64_t nr_words = d->size / VAS_PAGE_SIZE / 64;

	set_words(d->words, nr_words, 0x5555555555555555ULL);
	set_words(d->words + nr_words, d->log_size / 8 - nr_words, ~0ULL);
}

static uint64_t half_alone(void *ctx, uint64_t nr)
{
	struct dirty *d = ctx;

	while (nr--)
		set_words(d->flat, d->size / VAS_PAGE_SIZE / 64, 0x5555555555555555ULL);
	return 0;
}

static uint64_t harvest_vas(void *ctx, uint64_t nr)
{
	const struct vas_dirty_word *words;
	struct dirty *d = ctx;
	uint64_t found = 0;

	while (nr--) {
		uint64_t gpa = 0;

		if (d->nr_gpas)
			mark_some(d);
		else
			mark_half(d);
		if (vas_tracker_begin(d->tracker))
			return 0;
		while (gpa < d->size) {
			ssize_t got =
				vas_tracker_harvest(d->tracker, &gpa, d->size, HALF_WORDS, &words);

			if (got < 0)
				return 0;
			found += (uint64_t)got;
		}
		vas_tracker_commit(d->tracker);
	}
	return found;
}

/* Words that are not 0 are taken and listed: 32 bytes are looked at at once. */
__attribute__((target_clones("avx2", "default"))) static uint64_t
scan(uint64_t *bitmap, uint64_t nr_words, uint64_t *list)
{
	typedef uint64_t words __attribute__((vector_size(32)));
	uint64_t found = 0;

	for (uint64_t i = 0; i < nr_words; i += 4) {
		words w = *(const volatile words *)(bitmap + i);

		if (!(w[0] | w[1] | w[2] | w[3]))
			continue;
		for (uint64_t j = i; j < i + 4; j++) {
			uint64_t bits =
				bitmap[j] ? __atomic_exchange_n(&bitmap[j], 0, __ATOMIC_SEQ_CST) :
					    0;

			if (!bits)
				continue;
			list[2 * (found % HALF_WORDS)] = j;
			list[2 * (found % HALF_WORDS) + 1] = bits;
			found++;
		}
	}
	return found;
}

static uint64_t harvest_flat(void *ctx, uint64_t nr)
{
	struct dirty *d = ctx;
	uint64_t found = 0;

	while (nr--) {
		for (uint64_t i = 0; i < d->nr_gpas; i++) {
			uint64_t page = d->gpas[i] / VAS_PAGE_SIZE;

			__atomic_fetch_or(&d->flat[page / 64], 1ULL << page % 64, __ATOMIC_SEQ_CST);
		}
		if (!d->nr_gpas)
			half_alone(d, 1);
		found += scan(d->flat, d->size / VAS_PAGE_SIZE / 64, d->copy);
	}
	return found;
}

static int bench_harvest(struct bench_session *session, struct dirty *d, const char *name)
{
	struct bench_case bcase = { .name = name };

	bench_case_add(&bcase, "vas", harvest_vas, d);
	bench_case_add(&bcase, "flat-avx2", harvest_flat, d);
	bench_case_add(&bcase, "marks-alone", d->nr_gpas ? marks_alone : half_alone, d);
	return bench_measure(session, &bcase);
}

int dirty_bench_harvests(struct bench_session *session)
{
	struct dirty d;
	int ret = 0;

	if (bench_wants(session, "harvest/12T-1000-pages")) {
		ret = dirty_open(&d, HUGE_LIMIT, NR_SPARSE);
		for (uint64_t i = 0; !ret && i < d.nr_gpas; i++)
			d.gpas[i] = dirty_mix(i) % (HUGE_LIMIT / VAS_PAGE_SIZE) * VAS_PAGE_SIZE;
		if (!ret)
			ret = bench_harvest(session, &d, "harvest/12T-1000-pages");
		dirty_close(&d);
	}
	if (!ret && bench_wants(session, "harvest/4G-half")) {
		ret = dirty_open(&d, HALF_LIMIT, 0);
		if (!ret)
			ret = bench_harvest(session, &d, "harvest/4G-half");
		dirty_close(&d);
	}
	return ret;
}
