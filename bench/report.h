/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a bench prints: a table for people, or one JSON record a line for programs. */
#ifndef VAS_BENCH_REPORT_H
#define VAS_BENCH_REPORT_H

#include "harness.h"

/* Of one subject in one case, in nanoseconds for one operation. ratio is 0 where there is no limit.
 */
struct bench_figures {
	double median_ns;
	double min_ns;
	double max_ns;
	double ratio;
};

void bench_report_head(const struct bench_session *session);
void bench_report(const struct bench_session *session, const struct bench_case *bcase,
		  const struct bench_figures *figures);

#endif
