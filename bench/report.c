// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdio.h>

#include "report.h"

static const char *unit(const struct bench_case *bcase)
{
	if (bcase->unit)
		return bcase->unit;
	return bcase->bytes ? "GB/s" : "ns/op";
}

/* A byte in a nanosecond is a gigabyte in a second. */
static double in_unit(const struct bench_case *bcase, double ns)
{
	return bcase->bytes ? (double)bcase->bytes / ns : ns;
}

void bench_report_head(const struct bench_session *session)
{
	if (session->options.json)
		return;
	printf("%s: %u rounds of %.1f ms for each subject\n", session->bench,
	       session->options.rounds, (double)session->options.round_ns / 1e6);
	printf("%-34s %-14s %12s %12s %12s %-8s %7s\n", "case", "subject", "median", "min", "max",
	       "", "ratio");
}

static void report_text(const struct bench_case *bcase, unsigned int i,
			const struct bench_figures *f, double min, double max)
{
	printf("%-34s %-14s %12.2f %12.2f %12.2f %-8s", i ? "" : bcase->name,
	       bcase->subjects[i].name, in_unit(bcase, f->median_ns), min, max, unit(bcase));
	if (f->ratio > 0)
		printf(" %7.2f\n", f->ratio);
	else
		printf(" %7s\n", "-");
}

static void report_json(const char *bench, const struct bench_case *bcase, unsigned int i,
			const struct bench_figures *f, double min, double max)
{
	printf("{\"bench\":\"%s\",\"case\":\"%s\",\"subject\":\"%s\",\"unit\":\"%s\","
	       "\"median\":%.4f,\"min\":%.4f,\"max\":%.4f,",
	       bench, bcase->name, bcase->subjects[i].name, unit(bcase),
	       in_unit(bcase, f->median_ns), min, max);
	if (f->ratio > 0)
		printf("\"ratio\":%.4f}\n", f->ratio);
	else
		printf("\"ratio\":null}\n");
}

void bench_report(const struct bench_session *session, const struct bench_case *bcase,
		  const struct bench_figures *figures)
{
	for (unsigned int i = 0; i < bcase->nr_subjects; i++) {
		const struct bench_figures *f = &figures[i];
		/* The longest time is the smallest rate. */
		double min = in_unit(bcase, bcase->bytes ? f->max_ns : f->min_ns);
		double max = in_unit(bcase, bcase->bytes ? f->min_ns : f->max_ns);

		if (session->options.json)
			report_json(session->bench, bcase, i, f, min, max);
		else
			report_text(bcase, i, f, min, max);
	}
	fflush(stdout);
}
