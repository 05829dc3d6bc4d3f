// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* How long past its deadline a call ends, whatever a peer has done to the control area. */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <vas/access.h>
#include <vas/dirty.h>
#include <vas/handover.h>
#include <vas/lazy.h>
#include <vas/vas.h>

#include "bench/hostile_contents.h"

#define TIMEOUT_NS 100000000ull
#define MAX_ROUNDS 1001

static unsigned int rounds = 9;
static bool as_json;
static const char *pattern = "*";

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void must(int err, const char *what)
{
	if (err >= 0)
		return;
	fprintf(stderr, "hostile: %s: %s (%s)\n", what, strerror(-err), vas_error());
	exit(1);
}

/* ---- the calls ---------------------------------------------------------------------------- */

static int commit(struct scene *s)
{
	struct vas_layout *layout;

	must(vas_layout_begin(s->owner, &layout), "begin");
	must(vas_layout_remove(layout, s->region), "remove");
	return vas_layout_commit(layout, TIMEOUT_NS, NULL);
}

static int freeze(struct scene *s)
{
	return vas_freeze(s->owner, TIMEOUT_NS, NULL);
}

static int wait_thawed(struct scene *s)
{
	return vas_wait_thawed(s->peer, TIMEOUT_NS);
}

static int lazy_wait(struct scene *s)
{
	return vas_lazy_wait(s->peer, TIMEOUT_NS);
}

static int info(struct scene *s)
{
	struct vas_info info;

	return vas_info(s->peer, &info);
}

static int owner_info(struct scene *s)
{
	struct vas_info info;

	return vas_info(s->owner, &info);
}

static int epoch(struct scene *s)
{
	const struct vas_dirty_word *words;
	struct vas_tracker *tracker;
	uint64_t gpa = 0;
	int err = vas_tracker_attach(s->owner, "bench", 0, &tracker);

	if (err)
		return err;
	if (!vas_tracker_begin(tracker))
		vas_tracker_harvest(tracker, &gpa, LIMIT, 512, &words);
	vas_tracker_detach(tracker);
	return 0;
}

static int bind_anew(struct scene *s)
{
	struct vas *other;
	int err = vas_bind(vas_fd(s->owner), 0, &other);

	if (!err)
		vas_unbind(other);
	return err;
}

static int map(struct scene *s)
{
	struct vas_mapping *mapping;
	int err = vas_mapping_create(s->peer, 0, 1 << 20, VAS_MAPPING_WRITE, &mapping);

	if (!err)
		vas_mapping_destroy(mapping);
	return err;
}

/* The owner's end is part of it. */
static int adopt(struct scene *s)
{
	vas_unbind(s->owner);
	s->owner = NULL;
	return vas_adopt(s->peer);
}

static void *take(void *arg)
{
	int *sock = arg;
	struct vas *vas;
	size_t size;
	void *state;

	if (!vas_handover_take(*sock, 0, &vas, &state, &size)) {
		free(state);
		vas_unbind(vas);
	}
	close(*sock);
	return NULL;
}

/* The other side's part is in it, since they wait for each other, but not its work. */
static int hand_over(struct scene *s)
{
	pthread_t taker;
	int pair[2], err;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	must(-pthread_create(&taker, NULL, take, &pair[1]), "thread");
	err = vas_handover_give(s->owner, pair[0], NULL, 0);
	pthread_join(taker, NULL);
	close(pair[0]);
	return err;
}

static const struct call {
	const char *name;
	int (*run)(struct scene *s);
	uint64_t timeout_ns;
} calls[] = {
	{ "commit", commit, TIMEOUT_NS },
	{ "freeze", freeze, TIMEOUT_NS },
	{ "wait-thawed", wait_thawed, TIMEOUT_NS },
	{ "lazy-wait", lazy_wait, TIMEOUT_NS },
	{ "owner-info", owner_info, 0 },
	{ "binder-info", info, 0 },
	{ "owner-epoch", epoch, 0 },
	{ "bind", bind_anew, 0 },
	{ "mapping", map, 0 },
	{ "adopt", adopt, 0 },
	{ "hand-over", hand_over, 0 },
};

/* ---- measuring ---------------------------------------------------------------------------- */

static void scene_make(struct scene *s)
{
	struct vas_options options = { .limit = LIMIT, .name = "bench", .nr_slots = VAS_MAX_SLOTS };
	struct vas_region region = { .size = LIMIT / 2 };

	*s = (struct scene){ .locks_fd = -1 };
	must(vas_create(&options, &s->owner), "create");
	must(vas_region_add(s->owner, &region, &s->region), "add");
	must(vas_bind(vas_fd(s->owner), 0, &s->peer), "bind");
}

/* Nanoseconds past the deadline, or in all if there is none; and how much of that was work. */
struct times {
	uint64_t past;
	uint64_t work; /* at most: a busy machine has others run in between */
};

static struct times measure(const struct content *content, const struct call *call, int *err)
{
	struct scene s;
	struct times t;
	uint64_t work;

	scene_make(&s);
	content->fill(&s);
	work = now_ns(CLOCK_THREAD_CPUTIME_ID);
	t.past = now_ns(CLOCK_MONOTONIC);
	*err = call->run(&s);
	t.past = now_ns(CLOCK_MONOTONIC) - t.past;
	work = now_ns(CLOCK_THREAD_CPUTIME_ID) - work;
	content_end(&s);
	vas_unbind(s.peer);
	vas_destroy(s.owner);
	t.past = t.past > call->timeout_ns ? t.past - call->timeout_ns : 0;
	t.work = work < t.past ? work : t.past;
	return t;
}

static int by_time(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void bench(const struct content *content, const struct call *call)
{
	uint64_t times[MAX_ROUNDS];
	double median, worst, work = 0;
	unsigned int i;
	char name[64];
	int err = 0;

	snprintf(name, sizeof(name), "%s/%s", content->name, call->name);
	if (fnmatch(pattern, name, 0))
		return;
	for (i = 0; i < rounds; i++) {
		struct times t = measure(content, call, &err);

		times[i] = t.past;
		if (work < (double)t.work / 1e6)
			work = (double)t.work / 1e6;
	}
	qsort(times, rounds, sizeof(times[0]), by_time);
	median = (double)times[rounds / 2] / 1e6;
	worst = (double)times[rounds - 1] / 1e6;
	if (as_json)
		printf("{\"bench\": \"hostile\", \"case\": \"%s\", \"past_deadline\": %s, "
		       "\"median_ms\": %.3f, \"worst_ms\": %.3f, \"worst_work_ms\": %.3f, "
		       "\"result\": %d}\n",
		       name, call->timeout_ns ? "true" : "false", median, worst, work, err);
	else
		printf("%-32s %10.1f %10.1f %10.1f  %s%s\n", name, median, worst, work,
		       call->timeout_ns ? "past the deadline; " : "in all; ",
		       err ? strerror(-err) : "done");
	fflush(stdout);
}

static int help(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: bench-hostile [--case PATTERN] [--rounds N] [--json]\n");
	return code;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "case", required_argument, NULL, 'c' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	unsigned int i, j;
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c == 'c')
			pattern = optarg;
		else if (c == 'r')
			rounds = (unsigned int)atoi(optarg);
		else if (c == 'j')
			as_json = true;
		else
			return help(c == 'h' ? 0 : 2);
	}
	if (optind < argc || !rounds || rounds > MAX_ROUNDS)
		return help(2);
	if (!as_json)
		printf("%-32s %10s %10s %10s\n", "case", "median ms", "worst ms", "work ms");
	for (i = 0; i < nr_contents; i++)
		for (j = 0; j < sizeof(calls) / sizeof(calls[0]); j++)
			bench(&contents[i], &calls[j]);
	return 0;
}
