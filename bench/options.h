/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The options that every bench takes. */
#ifndef VAS_BENCH_OPTIONS_H
#define VAS_BENCH_OPTIONS_H

#include "harness.h"

/* Returns 0; 1 when the help was asked for and printed; or -EINVAL after a word on stderr. */
int bench_options_parse(struct bench_options *options, const struct bench *bench, int argc,
			char **argv);

#endif
