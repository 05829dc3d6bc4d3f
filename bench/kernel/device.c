// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* A part: short, so that some parts meet no timer interrupt. */
#define PART_TICKS 200000
#define NR_PARTS   8
#define MAX_OPS	   1000

struct device device_open(void)
{
	const char *unit = getenv("VAS_BENCH_UNIT");
	struct device device = {
		.fd = open("/dev/vas_bench", O_RDWR | O_CLOEXEC),
		.counts = unit && !strcmp(unit, "insns"),
	};

	if (device.fd < 0) {
		printf("no /dev/vas_bench: vas_bench.ko is not loaded\n");
		exit(77);
	}
	return device;
}

struct vas_bench_run device_job(const char *subject, uint64_t len, void *buf)
{
	struct vas_bench_run run = { .len = len, .buf = (uintptr_t)buf, .nr = 1, .nr_parts = 1 };

	snprintf(run.subject, sizeof(run.subject), "%s", subject);
	return run;
}

static int call(const struct device *device, struct vas_bench_run *run)
{
	return ioctl(device->fd, VAS_BENCH_RUN, run) ? -errno : 0;
}

int device_try(const struct device *device, const struct vas_bench_run *run)
{
	struct vas_bench_run once = *run;

	once.nr = once.nr_parts = 1;
	return call(device, &once);
}

static int measure_once(const struct device *device, struct vas_bench_run *run, double *cost)
{
	int err = call(device, run);

	*cost = (double)(device->counts ? run->ticks : run->ns) / run->nr;
	return err;
}

static int choose_nr(const struct device *device, struct vas_bench_run *run)
{
	int err;

	run->nr = run->nr_parts = 1;
	err = call(device, run);
	if (err)
		return err;
	run->nr = (uint32_t)(PART_TICKS / (run->ticks + 1)) + 1;
	if (run->nr > MAX_OPS)
		run->nr = MAX_OPS;
	run->nr_parts = NR_PARTS;
	return 0;
}

int device_measure(const struct device *device, const struct vas_bench_run *run, double *rounds,
		   unsigned int nr_rounds)
{
	struct vas_bench_run empty = device_job("nothing", 0, NULL), full = *run;
	double loop;
	int err;

	err = choose_nr(device, &full);
	empty.fd = full.fd;
	empty.nr = full.nr;
	empty.nr_parts = full.nr_parts;
	for (unsigned int i = 0; i < nr_rounds && !err; i++) {
		err = measure_once(device, &empty, &loop);
		if (!err)
			err = measure_once(device, &full, &rounds[i]);
		rounds[i] -= loop;
	}
	return err;
}
