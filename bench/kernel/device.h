/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The subjects of /dev/vas_bench, as figures. Functions return 0 or -errno. */
#ifndef VAS_BENCH_KERNEL_DEVICE_H
#define VAS_BENCH_KERNEL_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "../report.h"
#include "kernel/modules/bench/vas_bench.h"

struct device {
	int fd;
	bool counts; /* instructions, as the processor's clock does that; else time */
};

/* Exits with status 77 if there is none. */
struct device device_open(void);

/* A job of these bytes; buf has len of them. */
struct vas_bench_run device_job(const char *subject, uint64_t len, void *buf);

/* Do it once. -ENOENT: this kernel has no such subject. */
int device_try(const struct device *device, const struct vas_bench_run *run);

/* What an operation costs, without the loop around it; each round is a measurement of its own. */
int device_measure(const struct device *device, const struct vas_bench_run *run, double *rounds,
		   unsigned int nr_rounds);

#endif
