// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tracking.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "killer.h"

#define MAX_KILLS 8u /* before each check */
#define CALM	  2u /* epochs of each tracker without a death, before each check */

static void make_vas(struct torture *t)
{
	const struct vas_options options = {
		.limit = TRACKING_LIMIT + PAGE,
		.name = "tracking",
		.max_regions = 2,
		.nr_slots = 256,
	};
	const struct vas_region ram = { .size = TRACKING_LIMIT };
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	CHECK_OK(vas_region_add(vas, &ram, NULL));
	t->fd = dup(vas_fd(vas));
	CHECK(t->fd >= 0);
	vas_unbind(vas);
}

static void run_process(struct torture *t, unsigned int i, uint64_t seed)
{
	if (i == 0)
		server_run(t, i, seed);
	else if (i <= NR_TRACKERS)
		tracker_run(t, i, seed);
	else
		writer_run(t, i, seed);
}

/* ---- rounds ------------------------------------------------------------------------------- */

/*
 * In some rounds only trackers die: a writer's death has the whole log repaired, what dead trackers have
 * left there included.
 */
static void kill_some(struct killer *k)
{
	uint64_t nr = k->t->options.pause_us ? 1 + test_random_below(&k->random, MAX_KILLS) : 0;
	int any = test_random_below(&k->random, 2) == 0;

	__atomic_store_n(&k->t->shared->spared, any ? 0 : SPARE_WRITER, __ATOMIC_RELAXED);
	while (nr-- && !torture_is_over(k->t, k->start_ns)) {
		killer_kill_one(k, any ? 0 : 1, any ? k->nr : NR_TRACKERS);
		killer_pause(k);
	}
}

static void wait_for_epochs(struct killer *k)
{
	const struct torture_tracking *shared = &k->t->shared->tracking;

	__atomic_store_n(&k->t->shared->spared, SPARE_ALL, __ATOMIC_RELAXED);
	for (unsigned int i = 1; i <= NR_TRACKERS; i++) {
		uint64_t enough = __atomic_load_n(&shared->epochs[i], __ATOMIC_RELAXED) + CALM;

		while (__atomic_load_n(&shared->epochs[i], __ATOMIC_RELAXED) < enough &&
		       !torture_stopped(k->t))
			killer_pause(k);
	}
}

static void check(struct killer *k)
{
	struct torture_tracking *shared = &k->t->shared->tracking;

	tracking_set(&shared->wanted, shared->wanted + 1);
	for (unsigned int i = 1; i <= NR_TRACKERS; i++)
		while (tracking_get(&shared->checked[i]) != shared->wanted &&
		       !torture_stopped(k->t))
			killer_pause(k);
	tracking_set(&shared->done, shared->wanted);
}

static void torture(struct killer *k)
{
	const struct torture_options *o = &k->t->options;

	killer_start(k, 1 + NR_TRACKERS + o->processes);
	while (!torture_is_over(k->t, k->start_ns) &&
	       !(o->kills && k->kills >= o->kills && k->t->shared->tracking.done >= o->checks)) {
		kill_some(k);
		wait_for_epochs(k);
		check(k);
	}
	killer_stop(k);
}

/* ---- the end ------------------------------------------------------------------------------ */

static void check_leaks(struct torture *t)
{
	struct vas_tracker *dirty;
	struct vas_info info;
	struct vas *vas;

	CHECK_OK(vas_bind(t->fd, VAS_BIND_ADOPT, &vas));
	/* Whoever attaches clears away the dead; when it detaches, tracking ends if nobody is left. */
	CHECK_OK(vas_tracker_attach(vas, "last", 0, &dirty));
	vas_tracker_detach(dirty);
	CHECK_OK(vas_info(vas, &info));
	if (info.nr_binders != 1 || info.nr_pins || info.nr_threads > 1 || info.state_flags)
		torture_complain(t, "left over: %u binders, %u pins, %u threads, state %#x",
				 info.nr_binders, info.nr_pins, info.nr_threads, info.state_flags);
	vas_destroy(vas);
}

static void print_rates(const struct killer *k)
{
	const struct torture_shared *s = k->t->shared;
	double seconds = (double)(test_now_ns() - k->start_ns) / 1e9;
	uint64_t epochs = 0;

	for (unsigned int i = 1; i <= NR_TRACKERS; i++)
		epochs += s->tracking.epochs[i];
	printf("# %.1f s, %u trackers, %u writers of %u threads\n", seconds, NR_TRACKERS,
	       k->nr - 1 - NR_TRACKERS, k->t->options.threads);
	if (k->t->options.load)
		printf("# under load: stops %" PRIu64 " (%.0f/s), of them owners %" PRIu64 "\n",
		       k->stops, (double)k->stops / seconds, k->owner_stops);
	printf("# kills %" PRIu64 " (%.0f/s), of them owners %" PRIu64 "; adoptions %" PRIu64
	       ", layout changes %" PRIu64 "\n",
	       k->kills, (double)k->kills / seconds, k->owner_kills, s->nr_adopted,
	       s->tracking.nr_hotplugs);
	printf("# writes %" PRIu64 ", maps %" PRIu64 ", refused as frozen %" PRIu64 "\n",
	       s->nr_writes, s->nr_maps, s->nr_holes);
	printf("# trackers %" PRIu64 ", epochs %" PRIu64 ", aborts %" PRIu64 ", pages %" PRIu64
	       ", refused as busy %" PRIu64 "\n",
	       s->tracking.nr_attached, epochs, s->tracking.nr_aborts, s->tracking.nr_pages,
	       s->tracking.nr_refused);
	printf("# all copies compared with memory: %u times\n", s->tracking.done);
}

int main(int argc, char **argv)
{
	static struct torture t = {
		.options = { .processes = 4, .threads = 2, .seconds = 15, .pause_us = 20000 },
	};
	static struct killer k = { .t = &t, .run = run_process };
	int fds;

	torture_init(&t, argc, argv,
		     "until the seconds are over, or so many kills and checks are done");
	k.random.state = t.seed;
	make_vas(&t);
	fds = test_count_fds();
	torture(&k);
	print_rates(&k);
	if (!t.shared->violated)
		check_leaks(&t);
	if (!t.shared->violated && !t.shared->tracking.done)
		torture_complain(&t, "nothing was compared in this time");
	return torture_result(&t, "tracking", fds);
}
