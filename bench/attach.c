// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Attaching all regions of a vas to a VM in one go, a region, beside a bare loop of the ioctls for
 * the same memory. Only the attach is timed: neither making the VM nor taking everything away
 * again.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <vas/kvm.h>

#include "bare_kvm.h"
#include "guest.h"
#include "harness.h"
#include "report.h"

#define REGION_SIZE (64ull << 10)
#define MAX_ROUNDS  7 /* of a second or two each */

static const unsigned int region_counts[] = { 1, 100, 32000 };

struct sample {
	double limit_ns;
	double vas_ns;
	size_t vas_bytes; /* that the binder has allocated */
};

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static int time_limit(const struct guest *guest, struct sample *sample)
{
	int vm_fd = bare_vm_create(), err = 0;
	double start;

	if (vm_fd < 0)
		return vm_fd;
	start = now_ns();
	for (unsigned int i = 0; i < guest->nr_regions && !err; i++) {
		const struct guest_region *region = &guest->regions[i];

		err = bare_slot_add(vm_fd, i, region->gpa, region->size, guest->flat + region->gpa);
	}
	sample->limit_ns = (now_ns() - start) / guest->nr_regions;
	close(vm_fd);
	return err;
}

static int time_vas(const struct guest *guest, struct sample *sample)
{
	int vm_fd = bare_vm_create(), err;
	size_t before = allocated();
	struct vas_kvm *kvm;
	double start;

	if (vm_fd < 0)
		return vm_fd;
	start = now_ns();
	err = vas_kvm_attach(guest->vas, vm_fd, NULL, &kvm);
	sample->vas_ns = (now_ns() - start) / guest->nr_regions;
	if (!err) {
		sample->vas_bytes = allocated() - before;
		vas_kvm_detach(kvm);
	}
	close(vm_fd);
	return err;
}

/* In turn one of them goes first. */
static int take_samples(const struct guest *guest, struct sample *samples, unsigned int nr)
{
	int err = 0;

	for (unsigned int i = 0; i < nr && !err; i++) {
		err = i % 2 ? time_limit(guest, &samples[i]) : time_vas(guest, &samples[i]);
		if (!err)
			err = i % 2 ? time_vas(guest, &samples[i]) : time_limit(guest, &samples[i]);
	}
	return err;
}

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

static void report(struct bench_session *session, const char *name, const struct sample *samples,
		   unsigned int nr)
{
	struct bench_case bcase = { .name = name };
	struct bench_figures figures[2];
	double values[3][MAX_ROUNDS];

	for (unsigned int i = 0; i < nr; i++) {
		values[0][i] = samples[i].limit_ns;
		values[1][i] = samples[i].vas_ns;
		values[2][i] = samples[i].vas_ns / samples[i].limit_ns;
	}
	bench_case_add(&bcase, BENCH_LIMIT, NULL, NULL);
	bench_case_add(&bcase, "vas", NULL, NULL);
	figures[0] = figures_of(values[0], nr);
	figures[1] = figures_of(values[1], nr);
	figures[0].ratio = 1;
	figures[1].ratio = figures_of(values[2], nr).median_ns;
	if (!session->nr_measured++)
		bench_report_head(session);
	bench_report(session, &bcase, figures);
	if (!session->options.json)
		printf("%-34s %-14s %12zu bytes allocated in user space\n", "", "vas",
		       samples[0].vas_bytes);
}

static int run_count(struct bench_session *session, unsigned int nr_regions)
{
	unsigned int rounds =
		session->options.rounds < MAX_ROUNDS ? session->options.rounds : MAX_ROUNDS;
	struct sample samples[MAX_ROUNDS];
	struct guest guest;
	char name[32];
	int err;

	snprintf(name, sizeof(name), "attach/%u", nr_regions);
	if (!bench_wants(session, name))
		return 0;
	if (access("/dev/kvm", R_OK | W_OK)) {
		bench_skip(session, "all", "there is no /dev/kvm that may be used");
		exit(77);
	}
	err = guest_create(&guest, nr_regions, REGION_SIZE);
	if (err)
		return err;
	err = take_samples(&guest, samples, rounds);
	if (!err)
		report(session, name, samples, rounds);
	guest_destroy(&guest);
	return err;
}

static int run(struct bench_session *session)
{
	int err = 0;

	for (unsigned int i = 0; i < sizeof(region_counts) / sizeof(*region_counts) && !err; i++)
		err = run_count(session, region_counts[i]);
	return err;
}

static const struct bench bench = {
	.name = "attach",
	.summary = "Attaching a vas to KVM, a region, by the number of regions.",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
