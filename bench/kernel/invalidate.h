/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef VAS_BENCH_KERNEL_INVALIDATE_H
#define VAS_BENCH_KERNEL_INVALIDATE_H

#include <stdbool.h>
#include <stdint.h>

struct vas;

/*
 * The owner asks for a page that a module has mapped, until the module has let go of it: what that
 * takes, in ticks of the processor's clock or in ns. Returns 0 or -errno.
 */
int invalidate_measure(struct vas *vas, uint64_t gpa, bool ticks, double *rounds,
		       unsigned int nr_rounds);

#endif
