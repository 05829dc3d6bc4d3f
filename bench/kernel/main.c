// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What access to guest memory costs inside the kernel, beside KVM's and the plain copies that both
 * are made of. Runs inside the machine that scripts/bench-kernel.sh boots. Under QEMU's -icount the
 * processor's clock counts instructions, and VAS_BENCH_UNIT=insns says so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <vas/access.h>

#include "../harness.h"
#include "device.h"
#include "goals.h"
#include "invalidate.h"
#include "net.h"
#include "scene.h"
#include "vfio.h"

#define PAGE	   4096
#define SG_LEN	   (1u << 20)
#define MAX_ROUNDS 9 /* counts hardly differ, and a machine without KVM is slow */

static const unsigned int region_counts[] = { 1, 64, 4096, 32000 };
static const unsigned int lens[] = { 8, 64, PAGE };

/* A subject of a case: its name there, and that of the device's. */
struct way {
	const char *name;
	const char *subject;
	bool is_kvm;
};

static const struct way ways_from[] = {
	{ BENCH_LIMIT, "memcpy-from", false },
	{ "user", "user-from", false },
	{ "vas", "vas-from", false },
	{ "vas-cache", "vas-cache-from", false },
	{ "vas-map", "vas-map-from", false },
	{ "kvm", "kvm-from", true },
	{ "kvm-cached", "kvm-cached-from", true },
	{ 0 },
};

static const struct way ways_to[] = {
	{ BENCH_LIMIT, "memcpy-to", false },
	{ "user", "user-to", false },
	{ "vas", "vas-to", false },
	{ "vas-cache", "vas-cache-to", false },
	{ "vas-map", "vas-map-to", false },
	{ "kvm", "kvm-to", true },
	{ "kvm-cached", "kvm-cached-to", true },
	{ 0 },
};

static const struct way ways_sg[] = { { "vas", "vas-sg", false },
				      { "pin-user", "pin-sg", false },
				      { 0 } };
static const struct way ways_map[] = { { "vas", "vas-map", false }, { 0 } };
static const struct way ways_bind[] = { { "vas", "vas-bind", false }, { 0 } };

/* All that the cases share. */
struct state {
	struct bench_session *session;
	struct device device;
	struct scene scene;
	uint8_t *buf; /* of VAS_BENCH_MAX_LEN */
	struct goals goals;
};

static unsigned int rounds_of(const struct state *state)
{
	return state->session->options.rounds;
}

static struct vas_bench_run job_for(const struct state *state, const struct way *way, uint64_t len)
{
	struct vas_bench_run run = device_job(way->subject, len, state->buf);

	run.fd = way->is_kvm ? state->scene.vm_fd : vas_fd(state->scene.guest.vas);
	run.gpa = scene_gpa(&state->scene);
	run.hva = (uintptr_t)state->scene.guest.flat + run.gpa;
	return run;
}

static void fill(uint8_t *bytes, uint64_t len, uint8_t seed)
{
	for (uint64_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256 + seed);
}

/* Moves bytes that are in one place and not in the other, and looks there. */
static int check(const struct state *state, const struct way *way, uint64_t len)
{
	static uint8_t expected[PAGE], found[PAGE];
	struct vas_bench_run run = job_for(state, way, len);
	bool is_from = strstr(way->subject, "-from");
	struct vas *vas = state->scene.guest.vas;
	static uint8_t seed;
	int err;

	if (!is_from && !strstr(way->subject, "-to"))
		return device_try(&state->device, &run);
	fill(expected, len, ++seed);
	memset(state->buf, 0, len);
	if (!is_from)
		memcpy(state->buf, expected, len);
	err = is_from ? vas_write(vas, run.gpa, expected, len, NULL) : 0;
	if (!err)
		err = device_try(&state->device, &run);
	if (!err)
		err = is_from ? 0 : vas_read(vas, run.gpa, found, len, NULL);
	if (!err && memcmp(is_from ? state->buf : found, expected, len))
		err = -EIO;
	return err;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct bench_figures figures_of(double *rounds, unsigned int nr)
{
	qsort(rounds, nr, sizeof(*rounds), compare);
	return (struct bench_figures){ .median_ns = rounds[nr / 2],
				       .min_ns = rounds[0],
				       .max_ns = rounds[nr - 1] };
}

static int measure(const struct state *state, const struct way *way, uint64_t len,
		   struct bench_figures *figures)
{
	struct vas_bench_run run = job_for(state, way, len);
	double rounds[MAX_ROUNDS];
	int err;

	err = check(state, way, len);
	if (!err)
		err = device_measure(&state->device, &run, rounds, rounds_of(state));
	if (err && err != -ENOENT)
		fprintf(stderr, "%s: %s\n", way->subject, strerror(-err));
	if (!err)
		*figures = figures_of(rounds, rounds_of(state));
	return err;
}

static void report(struct state *state, struct bench_case *bcase, struct bench_figures *figures)
{
	double limit = strcmp(bcase->subjects[0].name, BENCH_LIMIT) ? 0 : figures[0].median_ns;

	bcase->unit = state->device.counts ? "insns/op" : NULL;
	for (unsigned int i = 0; i < bcase->nr_subjects; i++) {
		figures[i].ratio = limit > 0 ? figures[i].median_ns / limit : 0;
		goals_note(&state->goals, bcase->name, bcase->subjects[i].name,
			   figures[i].median_ns);
	}
	if (!state->session->nr_measured++)
		bench_report_head(state->session);
	bench_report(state->session, bcase, figures);
}

static int run_case(struct state *state, const char *name, const struct way *ways, uint64_t len)
{
	struct bench_figures figures[BENCH_MAX_SUBJECTS];
	struct bench_case bcase = { .name = name };
	int err;

	if (!bench_wants(state->session, name))
		return 0;
	for (; ways->name; ways++) {
		if (ways->is_kvm && state->scene.vm_fd < 0)
			continue;
		err = measure(state, ways, len, &figures[bcase.nr_subjects]);
		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		bench_case_add(&bcase, ways->name, NULL, NULL);
	}
	report(state, &bcase, figures);
	return 0;
}

static int run_copies(struct state *state, const char *what, const struct way *ways)
{
	char name[48];
	int err = 0;

	for (unsigned int i = 0; i < sizeof(lens) / sizeof(*lens) && !err; i++) {
		snprintf(name, sizeof(name), "%s/%u/%u", what, lens[i],
			 state->scene.guest.nr_regions);
		err = run_case(state, name, ways, lens[i]);
	}
	return err;
}

static int run_whole(struct state *state, const char *what, const struct way *ways, uint64_t len)
{
	char name[48];

	snprintf(name, sizeof(name), "%s/%u", what, state->scene.guest.nr_regions);
	return run_case(state, name, ways, len);
}

static int run_invalidate(struct state *state)
{
	struct bench_case bcase = { 0 };
	struct bench_figures figures[1];
	double rounds[MAX_ROUNDS];
	char name[48];
	int err;

	snprintf(name, sizeof(name), "invalidate/%u", state->scene.guest.nr_regions);
	if (!bench_wants(state->session, name))
		return 0;
	err = invalidate_measure(state->scene.guest.vas, scene_gpa(&state->scene),
				 state->device.counts, rounds, rounds_of(state));
	if (err)
		return err;
	bcase.name = name;
	bench_case_add(&bcase, "vas", NULL, NULL);
	figures[0] = figures_of(rounds, rounds_of(state));
	report(state, &bcase, figures);
	return 0;
}

/* What has a scene of its own. -ENODEV: this kernel, or machine, cannot have it. */
struct alone {
	const char *name;
	int (*measure)(const struct state *state, const struct alone *alone, const unsigned int *of,
		       double *rounds);
	unsigned int kind;
};

static int run_alone(struct state *state, const char *name, const struct alone *alone,
		     unsigned int nr, const unsigned int *of)
{
	struct bench_figures figures[BENCH_MAX_SUBJECTS];
	struct bench_case bcase = { .name = name };
	double rounds[MAX_ROUNDS];

	if (!bench_wants(state->session, name))
		return 0;
	for (unsigned int i = 0; i < nr; i++) {
		int err = alone[i].measure(state, &alone[i], of, rounds);

		if (err == -ENODEV)
			continue;
		if (err)
			return err;
		figures[bcase.nr_subjects] = figures_of(rounds, rounds_of(state));
		bench_case_add(&bcase, alone[i].name, NULL, NULL);
	}
	if (bcase.nr_subjects)
		report(state, &bcase, figures);
	return 0;
}

/* Frames: a burst's sender and all are measured, so as to find what is the device's alone. */
static int measure_net(const struct state *state, const struct alone *alone, const unsigned int *of,
		       double *rounds)
{
	bool to_guest = of[0];

	if (alone->kind == NET_SINK && !to_guest)
		return -ENODEV;
	return net_measure(alone->kind, to_guest, of[1], state->device.counts, rounds,
			   rounds_of(state));
}

static int run_frames(struct state *state)
{
	static const struct alone ways[] = { { BENCH_LIMIT, measure_net, NET_SINK },
					     { "vas", measure_net, NET_VAS },
					     { "vhost-net", measure_net, NET_VHOST } };
	static const unsigned int frames[][2] = { { 0, 64 },   { 1, 64 },    { 0, 1500 },
						  { 1, 1500 }, { 0, 65226 }, { 1, 65226 } };
	char name[48];
	int err = 0;

	for (unsigned int i = 0; i < sizeof(frames) / sizeof(*frames) && !err; i++) {
		snprintf(name, sizeof(name), "net-%s-guest/%u", frames[i][0] ? "to" : "from",
			 frames[i][1]);
		err = run_alone(state, name, ways, sizeof(ways) / sizeof(*ways), frames[i]);
	}
	return err;
}

/* A change of the layout with a device attached, beside what the kernel takes for such memory. */
static int measure_change(const struct state *state, const struct alone *alone,
			  const unsigned int *of, double *rounds)
{
	return vfio_measure(alone->kind, of[0], of[1], state->device.counts, rounds,
			    rounds_of(state));
}

static int run_changes(struct state *state)
{
	static const struct alone ways[] = { { BENCH_LIMIT, measure_change, VFIO_BARE },
					     { "vas", measure_change, VFIO_VAS } };
	static const unsigned int changes[][2] = { { 2, 64 }, { 2, 512 }, { 32, 512 } };
	char name[48];
	int err = 0;

	for (unsigned int i = 0; i < sizeof(changes) / sizeof(*changes) && !err; i++) {
		snprintf(name, sizeof(name), "vfio-change/%u/%u", changes[i][0], changes[i][1]);
		err = run_alone(state, name, ways, sizeof(ways) / sizeof(*ways), changes[i]);
	}
	return err;
}

static int run_count(struct state *state, unsigned int nr_regions)
{
	int err;

	err = scene_open(&state->scene, nr_regions);
	if (err)
		return err;
	err = run_copies(state, "from", ways_from);
	if (!err)
		err = run_copies(state, "to", ways_to);
	if (!err)
		err = run_whole(state, "map/4096", ways_map, PAGE);
	if (!err)
		err = run_whole(state, "sg/1048576", ways_sg, SG_LEN);
	if (!err)
		err = run_whole(state, "bind", ways_bind, 0);
	if (!err)
		err = run_invalidate(state);
	scene_close(&state->scene);
	return err;
}

static int run(struct bench_session *session)
{
	const char *name = getenv("VAS_BENCH_NAME");
	struct state state = { .session = session, .device = device_open() };
	int err = 0;

	if (name)
		session->bench = name;
	if (session->options.rounds > MAX_ROUNDS)
		session->options.rounds = MAX_ROUNDS;
	state.buf = calloc(1, VAS_BENCH_MAX_LEN);
	err = run_frames(&state);
	if (!err)
		err = run_changes(&state);
	for (unsigned int i = 0; i < sizeof(region_counts) / sizeof(*region_counts) && !err; i++)
		err = run_count(&state, region_counts[i]);
	free(state.buf);
	if (!err && state.device.counts && session->nr_measured)
		err = goals_check(&state.goals, session->options.json);
	return err;
}

static const struct bench bench = {
	.name = "kernel",
	.summary = "Access to guest memory inside the kernel, beside KVM's.",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
