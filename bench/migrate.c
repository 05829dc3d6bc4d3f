// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Moving a guest's memory to another process over Unix sockets, beside a plain send and receive of
 * the same bytes, and beside QEMU doing the same. All take turns with the same source. Processor
 * time is told too: on a machine that has other things to do it is what can be compared.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vas/vas.h>

#include "harness.h"
#include "move.h"
#include "report.h"

#define MAX_ROUNDS 5 /* of some seconds each */
#define MAX_WAYS   6

struct subject {
	const char *name;
	enum move_way way;
};

struct scene {
	const char *name;
	enum move_content content;
	uint32_t nr_channels;
	struct subject subjects[MAX_WAYS]; /* the first is the limit */
};

static const struct scene scenes[] = {
	{ "random/1-channel",
	  MOVE_RANDOM,
	  1,
	  { { BENCH_LIMIT, MOVE_PLAIN }, { "vas", MOVE_VAS }, { "qemu", MOVE_QEMU } } },
	{ "random/2-channels",
	  MOVE_RANDOM,
	  2,
	  { { BENCH_LIMIT, MOVE_PLAIN }, { "vas", MOVE_VAS }, { "qemu-multifd", MOVE_QEMU } } },
	{ "random/fresh-memory",
	  MOVE_RANDOM,
	  2,
	  { { BENCH_LIMIT, MOVE_PLAIN_FILE },
	    { "vas", MOVE_VAS_FRESH },
	    { "mapped", MOVE_PLAIN_MAPPED },
	    { "vas-populated", MOVE_VAS_POPULATED },
	    { "vas-thp", MOVE_VAS_THP },
	    { "vas-hugetlb", MOVE_VAS_HUGETLB } } },
	{ "zeros/1-channel",
	  MOVE_ZEROS,
	  1,
	  { { BENCH_LIMIT, MOVE_PLAIN }, { "vas", MOVE_VAS_FRESH } } },
	{ "zeros/2-channels",
	  MOVE_ZEROS,
	  2,
	  { { BENCH_LIMIT, MOVE_PLAIN }, { "vas", MOVE_VAS_FRESH } } },
	{ "untouched", MOVE_UNTOUCHED, 2, { { "vas", MOVE_VAS_FRESH } } },
};
#define NR_SCENES (sizeof(scenes) / sizeof(*scenes))

/* What a subject took, in each round. */
struct results {
	struct move_times times[MAX_WAYS][MAX_ROUNDS];
	unsigned int nr_rounds;
	unsigned int nr;
	struct subject subjects[MAX_WAYS];
};

static uint64_t size = 4ULL << 30;

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct bench_figures figures_of(double *values, unsigned int nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return (struct bench_figures){ .median_ns = values[nr / 2],
				       .min_ns = values[0],
				       .max_ns = values[nr - 1] };
}

/* One kind of time: where it is in struct move_times, and what one unit of it is called. */
struct kind {
	const char *suffix;
	size_t offset;
	double scale; /* 0: bytes a nanosecond */
	const char *unit;
};

static double value_of(const struct move_times *times, const struct kind *kind)
{
	return *(const double *)((const char *)times + kind->offset);
}

static void report_kind(struct bench_session *session, const char *name, const struct results *r,
			const struct kind *kind)
{
	struct bench_figures figures[MAX_WAYS];
	struct bench_case bcase = { .unit = kind->unit, .bytes = kind->scale > 0 ? 0 : size };
	double values[MAX_ROUNDS], scale = kind->scale > 0 ? kind->scale : 1;
	char full_name[64];

	snprintf(full_name, sizeof(full_name), "%s%s", name, kind->suffix);
	bcase.name = full_name;
	for (unsigned int i = 0; i < r->nr; i++) {
		double ratios[MAX_ROUNDS];

		for (unsigned int j = 0; j < r->nr_rounds; j++) {
			values[j] = value_of(&r->times[i][j], kind) * scale;
			ratios[j] =
				value_of(&r->times[i][j], kind) / value_of(&r->times[0][j], kind);
		}
		bench_case_add(&bcase, r->subjects[i].name, NULL, NULL);
		figures[i] = figures_of(values, r->nr_rounds);
		figures[i].ratio = r->nr > 1 ? figures_of(ratios, r->nr_rounds).median_ns : 0;
	}
	bench_report(session, &bcase, figures);
}

static void report(struct bench_session *session, const struct scene *scene,
		   const struct results *r)
{
	const double per_gib = 1e-6 / ((double)size / (1 << 30));
	const struct kind rate = { "", offsetof(struct move_times, wall_ns), 0, NULL };
	const struct kind wall = { "", offsetof(struct move_times, wall_ns), 1e-6, "ms/op" };
	const struct kind sender = { "/sender-cpu", offsetof(struct move_times, sender_ns), per_gib,
				     "ms/GiB" };
	const struct kind receiver = { "/receiver-cpu", offsetof(struct move_times, receiver_ns),
				       per_gib, "ms/GiB" };

	if (!session->nr_measured++)
		bench_report_head(session);
	if (r->nr == 1) {
		report_kind(session, scene->name, r, &wall);
		return;
	}
	report_kind(session, scene->name, r, &rate);
	report_kind(session, scene->name, r, &sender);
	if (scene->content == MOVE_RANDOM)
		report_kind(session, scene->name, r, &receiver);
}

static int move(struct vas *vas, const struct scene *scene, const struct subject *subject,
		struct move_times *times)
{
	/* There is nothing to be sent of zeros: reading them is the least. */
	if (scene->content == MOVE_ZEROS && subject->way == MOVE_PLAIN)
		return move_read(vas, size, scene->nr_channels, times);
	return move_once(vas, size, subject->way, scene->nr_channels, times);
}

static int run_scene(struct bench_session *session, const struct scene *scene, struct vas *vas)
{
	struct results r = { .nr_rounds = session->options.rounds };
	unsigned int round, i;
	int err;

	if (r.nr_rounds > MAX_ROUNDS)
		r.nr_rounds = MAX_ROUNDS;
	for (i = 0; i < MAX_WAYS && scene->subjects[i].name; i++) {
		const char *missing = move_missing(scene->subjects[i].way, size);

		if (missing)
			bench_skip(session, scene->subjects[i].name, missing);
		else
			r.subjects[r.nr++] = scene->subjects[i];
	}
	for (round = 0; round < r.nr_rounds; round++) {
		for (i = 0; i < r.nr; i++) {
			unsigned int which = (i + round) % r.nr;

			err = move(vas, scene, &r.subjects[which], &r.times[which][round]);
			if (err)
				return err;
		}
	}
	report(session, scene, &r);
	return 0;
}

/* The scenes of one content, on one source. */
static int run_content(struct bench_session *session, enum move_content content)
{
	struct vas *vas = NULL;
	int err = 0;

	for (size_t i = 0; i < NR_SCENES && !err; i++) {
		if (scenes[i].content != content || !bench_wants(session, scenes[i].name))
			continue;
		if (!vas)
			err = move_source(size, content, &vas);
		if (!err)
			err = run_scene(session, &scenes[i], vas);
	}
	vas_destroy(vas);
	return err;
}

static int run_hand_over(struct bench_session *session)
{
	static const struct scene scene = { .name = "hand-over/16-GiB" };
	struct results r = { .nr_rounds = MAX_ROUNDS,
			     .nr = 1,
			     .subjects = { { "vas", MOVE_VAS } } };
	struct vas *vas;
	int err = 0;

	if (!bench_wants(session, scene.name))
		return 0;
	err = move_source(16ULL << 30, MOVE_UNTOUCHED, &vas);
	if (!err)
		err = vas_fill(vas, 0, 1, 256 << 20, NULL);
	for (unsigned int i = 0; i < r.nr_rounds && !err; i++)
		err = move_hand_over(&vas, &r.times[0][i]);
	if (!err)
		report(session, &scene, &r);
	vas_destroy(vas);
	return err;
}

static int run(struct bench_session *session)
{
	const char *mib = getenv("BENCH_MIB");
	cpu_set_t all;
	int err;

	/* Two processes want two cores. */
	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	if (mib)
		size = strtoull(mib, NULL, 0) << 20;
	err = run_content(session, MOVE_RANDOM);
	if (!err)
		err = run_content(session, MOVE_ZEROS);
	if (!err)
		err = run_content(session, MOVE_UNTOUCHED);
	return err ? err : run_hand_over(session);
}

static const struct bench bench = {
	.name = "migrate",
	.summary = "Moving a guest's memory to another process. BENCH_MIB sets its size (4096).",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
