// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <assert.h>
#include <errno.h>
#include <fnmatch.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness.h"
#include "options.h"
#include "report.h"

/* Of a round; see round_of(). */
#define NR_PARTS 8

/* Keeps what the subjects return alive. */
static volatile uint64_t sink;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t time_ns(const struct bench_subject *subject, uint64_t nr)
{
	uint64_t start = now_ns();

	sink = subject->run(subject->ctx, nr);
	return now_ns() - start;
}

/* The best of a few runs, which leaves out those in which another task or an interrupt had the
 * core. */
static uint64_t best_ns(const struct bench_subject *subject, uint64_t nr, unsigned int runs)
{
	uint64_t best = UINT64_MAX;

	while (runs--) {
		uint64_t ns = time_ns(subject, nr);

		best = ns < best ? ns : best;
	}
	return best;
}

/*
 * One round of one subject, in ns for one operation: the best of a few parts. A part before them
 * brings its data back to the caches.
 */
static double round_of(const struct bench_subject *subject, uint64_t nr)
{
	if (nr < NR_PARTS)
		return (double)best_ns(subject, nr, 1) / (double)nr;
	nr /= NR_PARTS;
	sink = subject->run(subject->ctx, nr);
	return (double)best_ns(subject, nr, NR_PARTS) / (double)nr;
}

/* How many operations fill a round. */
static uint64_t calibrate(const struct bench_subject *subject, uint64_t round_ns)
{
	uint64_t nr = 1;
	uint64_t ns;

	while ((ns = best_ns(subject, nr, 3)) < round_ns / 4)
		nr *= 2;
	nr = nr * round_ns / ns;
	return nr ? nr : 1;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int nr)
{
	qsort(values, nr, sizeof(*values), compare_doubles);
	return nr % 2 ? values[nr / 2] : (values[nr / 2 - 1] + values[nr / 2]) / 2;
}

/* The ratio is the median of the rounds' own ratios: a slow round was slow for its limit too. */
static struct bench_figures summarise(const double *times, const double *limit_times,
				      unsigned int rounds)
{
	struct bench_figures f = { 0 };
	double values[BENCH_MAX_ROUNDS];

	if (limit_times) {
		for (unsigned int i = 0; i < rounds; i++)
			values[i] = times[i] / limit_times[i];
		f.ratio = median(values, rounds);
	}
	memcpy(values, times, rounds * sizeof(*times));
	f.median_ns = median(values, rounds);
	f.min_ns = values[0];
	f.max_ns = values[rounds - 1];
	return f;
}

static int limit_index(const struct bench_case *bcase)
{
	for (unsigned int i = 0; i < bcase->nr_subjects; i++) {
		if (!strcmp(bcase->subjects[i].name, BENCH_LIMIT))
			return (int)i;
	}
	return -1;
}

/* Another order in each round: what a subject leaves in the caches must not always meet the same
 * next. */
static void shuffle(unsigned int *order, unsigned int nr)
{
	static uint64_t state;

	for (unsigned int i = nr - 1; i > 0; i--) {
		unsigned int j;
		unsigned int swapped = order[i];

		state = state * 6364136223846793005 + 1442695040888963407;
		j = (unsigned int)(state >> 33) % (i + 1);
		order[i] = order[j];
		order[j] = swapped;
	}
}

int bench_measure(struct bench_session *session, const struct bench_case *bcase)
{
	static double times[BENCH_MAX_SUBJECTS][BENCH_MAX_ROUNDS];
	struct bench_figures figures[BENCH_MAX_SUBJECTS];
	unsigned int order[BENCH_MAX_SUBJECTS];
	uint64_t nr[BENCH_MAX_SUBJECTS];
	unsigned int rounds = session->options.rounds;
	int limit = limit_index(bcase);

	if (!bcase->nr_subjects)
		return -EINVAL;
	for (unsigned int i = 0; i < bcase->nr_subjects; i++)
		nr[i] = calibrate(&bcase->subjects[i], session->options.round_ns);
	for (unsigned int i = 0; i < bcase->nr_subjects; i++)
		order[i] = i;
	for (unsigned int r = 0; r < rounds; r++) {
		shuffle(order, bcase->nr_subjects);
		for (unsigned int turn = 0; turn < bcase->nr_subjects; turn++) {
			unsigned int i = order[turn];

			times[i][r] = round_of(&bcase->subjects[i], nr[i]);
		}
	}
	for (unsigned int i = 0; i < bcase->nr_subjects; i++)
		figures[i] = summarise(times[i], limit < 0 ? NULL : times[limit], rounds);
	if (!session->nr_measured++)
		bench_report_head(session);
	bench_report(session, bcase, figures);
	return 0;
}

bool bench_wants(struct bench_session *session, const char *case_name)
{
	const struct bench_options *options = &session->options;

	if (options->pattern && fnmatch(options->pattern, case_name, 0))
		return false;
	if (options->list)
		printf("%s\n", case_name);
	return !options->list;
}

void bench_case_add(struct bench_case *bcase, const char *name,
		    uint64_t (*run)(void *ctx, uint64_t nr), void *ctx)
{
	struct bench_subject *subject = &bcase->subjects[bcase->nr_subjects];

	assert(bcase->nr_subjects < BENCH_MAX_SUBJECTS);
	*subject = (struct bench_subject){ .name = name, .run = run, .ctx = ctx };
	bcase->nr_subjects++;
}

void bench_skip(const struct bench_session *session, const char *subject, const char *why)
{
	fprintf(stderr, "%s: skipped %s: %s\n", session->bench, subject, why);
}

/* The first cores get most of the interrupts, so the last one is taken by default. */
static int run_on_one_core(int cpu)
{
	cpu_set_t allowed;
	cpu_set_t one;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return -errno;
	for (int i = 0; cpu < 0 && i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(CPU_SETSIZE - 1 - i, &allowed))
			cpu = CPU_SETSIZE - 1 - i;
	}
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) ? -errno : 0;
}

int bench_main(int argc, char **argv, const struct bench *bench)
{
	struct bench_session session = { .bench = bench->name };
	int ret;

	ret = bench_options_parse(&session.options, bench, argc, argv);
	if (ret)
		return ret < 0 ? 2 : 0;
	ret = run_on_one_core(session.options.cpu);
	if (ret) {
		fprintf(stderr, "%s: cannot run on one core: %s\n", bench->name, strerror(-ret));
		return 1;
	}
	ret = bench->run(&session);
	if (ret) {
		fprintf(stderr, "%s: failed: %s\n", bench->name, strerror(-ret));
		return 1;
	}
	if (!session.options.list && !session.nr_measured) {
		fprintf(stderr, "%s: no case matches\n", bench->name);
		return 2;
	}
	return 0;
}
