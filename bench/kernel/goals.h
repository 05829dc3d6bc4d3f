/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What vas.ko promises to cost, in instructions. */
#ifndef VAS_BENCH_KERNEL_GOALS_H
#define VAS_BENCH_KERNEL_GOALS_H

#include <stdbool.h>

#define GOALS_MAX_NOTES 256

struct goals {
	unsigned int nr;
	struct {
		char what[64]; /* case, blank, subject */
		double cost;
	} notes[GOALS_MAX_NOTES];
};

void goals_note(struct goals *goals, const char *case_name, const char *subject, double cost);

/* Prints each goal whose figures were taken, unless quiet: -ERANGE if one is missed. */
int goals_check(const struct goals *goals, bool quiet);

#endif
