/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What there is and what has happened, in all of vas.ko; shown in debugfs. */
#ifndef VAS_KERNEL_COUNTERS_H
#define VAS_KERNEL_COUNTERS_H

#include <linux/atomic.h>

enum vas_counter {
	/* What there is: all 0 when nothing is bound. */
	VAS_COUNT_BINDINGS,
	VAS_COUNT_MAPPINGS,
	VAS_COUNT_PINNED_FOLIOS, /* of maps and of control areas */
	VAS_COUNT_LOG_PAGES,
	VAS_COUNT_CACHED_FOLIOS,
	/* What has happened. */
	VAS_COUNT_BINDS,
	VAS_COUNT_MAPS,
	VAS_COUNT_VIEWS,
	VAS_COUNT_INVALIDATES,
	VAS_COUNT_QUIESCES,
	VAS_COUNT_FREEZES,
	VAS_NR_COUNTERS
};

extern atomic64_t vas_counters[VAS_NR_COUNTERS];

static inline void vas_count(enum vas_counter counter, long nr)
{
	atomic64_add(nr, &vas_counters[counter]);
}

#endif
