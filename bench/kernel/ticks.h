/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef VAS_BENCH_KERNEL_TICKS_H
#define VAS_BENCH_KERNEL_TICKS_H

#include <stdbool.h>

/* Ticks of the processor's clock, which counts instructions under -icount, or ns. */
double ticks_now(bool ticks);

#endif
