// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A process that keeps a copy of memory by harvests alone. */
#include <poll.h>
#include <stdlib.h>

#include "tracking.h"

struct tracker {
	struct torture *t;
	unsigned int process;
	struct vas *vas;
	struct vas_tracker *dirty;
	struct test_random random;
	char (*copy)[PAGE]; /* of each page of the arena */
};

/*
 * True if it was done. It may fail for a while because the owner is dead or busy adopting, or somebody
 * who died keeps the log until its memory is gone.
 */
static int expect_busy(struct tracker *k, const char *what, int err)
{
	if (err >= 0)
		return 1;
	if (err != -EBUSY && err != -ETIMEDOUT && err != -EAGAIN)
		torture_violated(k->t, "%s: %s: %s", what, strerrorname_np(-err), vas_error());
	torture_count(&k->t->shared->tracking.nr_refused);
	return 0;
}

static void copy_page(struct tracker *k, unsigned int i)
{
	int err = vas_read(k->vas, arena_page(i) * PAGE, k->copy[i], PAGE, NULL);

	if (err)
		torture_violated(k->t, "copy: %s: %s", strerrorname_np(-err), vas_error());
	torture_count(&k->t->shared->tracking.nr_pages);
}

/* Whatever of the arena it is, if any, twice perhaps. */
static void copy_pages(struct tracker *k, uint64_t page)
{
	if (page / 4096 < NR_LONELY && page == arena_page((unsigned int)(page / 4096)))
		copy_page(k, (unsigned int)(page / 4096));
	for (unsigned int i = 0; i < NR_CLUSTERS; i++)
		if (page - clusters[i] < CLUSTER_PAGES)
			copy_page(k, NR_LONELY + i * CLUSTER_PAGES +
					     (unsigned int)(page - clusters[i]));
}

/* An epoch that will be aborted copies nothing: all of it has to come again. */
static int harvest(struct tracker *k, int copies)
{
	const struct vas_dirty_word *words;
	uint64_t gpa = 0;

	while (gpa < TRACKING_LIMIT) {
		size_t nr = 1 + test_random_below(&k->random, 64);
		ssize_t got = vas_tracker_harvest(k->dirty, &gpa, TRACKING_LIMIT, nr, &words);

		if (!expect_busy(k, "harvest", (int)got))
			return 0;
		for (ssize_t i = 0; copies && i < got; i++)
			for (uint64_t bits = words[i].bits; bits; bits &= bits - 1)
				copy_pages(k,
					   words[i].gpa / PAGE + (uint64_t)__builtin_ctzll(bits));
	}
	return 1;
}

static void abort_epoch(struct tracker *k)
{
	while (!expect_busy(k, "abort", vas_tracker_abort(k->dirty)))
		;
	torture_count(&k->t->shared->tracking.nr_aborts);
}

/* True if all that was written before it is in the copy now. */
static int epoch(struct tracker *k, int gives_up)
{
	if (!expect_busy(k, "begin", vas_tracker_begin(k->dirty)))
		return 0;
	torture_doom(k->t, SPARE_TRACKER, &k->random, 8, 500000);
	if (!harvest(k, !gives_up) || gives_up) {
		abort_epoch(k);
		return 0;
	}
	vas_tracker_commit(k->dirty);
	torture_count(&k->t->shared->tracking.epochs[k->process]);
	return 1;
}

static void compare(struct tracker *k)
{
	char page[PAGE];

	for (unsigned int i = 0; i < NR_ARENA_PAGES; i++) {
		int err = vas_read(k->vas, arena_page(i) * PAGE, page, PAGE, NULL);

		if (err)
			torture_violated(k->t, "compare: %s: %s", strerrorname_np(-err),
					 vas_error());
		if (memcmp(page, k->copy[i], PAGE))
			torture_violated(k->t, "a write to page %#llx was lost",
					 (unsigned long long)arena_page(i));
	}
}

/* The owner has frozen the vas for a check that this tracker has not had yet. */
static void look_at_round(struct tracker *k)
{
	struct torture_tracking *shared = &k->t->shared->tracking;
	uint32_t frozen = tracking_get(&shared->frozen);

	if (frozen != tracking_get(&shared->wanted) || frozen == shared->checked[k->process])
		return;
	if (!epoch(k, 0))
		return;
	compare(k);
	tracking_set(&shared->checked[k->process], frozen);
}

static void track(struct tracker *k)
{
	uint64_t epochs = 1 + test_random_below(&k->random, 300);

	memset(k->copy, 0, NR_ARENA_PAGES * PAGE);
	if (!expect_busy(k, "attach",
			 vas_tracker_attach(k->vas, "torture", VAS_TRACKER_ALL, &k->dirty)))
		return;
	torture_count(&k->t->shared->tracking.nr_attached);
	while (epochs-- && !torture_stopped(k->t)) {
		const struct timespec pause = { 0, (long)test_random_below(&k->random, 3000000) };

		epoch(k, test_random_below(&k->random, 4) == 0);
		look_at_round(k);
		ppoll(NULL, 0, &pause, NULL);
		torture_count(&k->t->shared->beats[k->process][0]);
	}
	vas_tracker_detach(k->dirty);
}

void tracker_run(struct torture *t, unsigned int process, uint64_t seed)
{
	struct tracker k = { .t = t, .process = process, .random = { seed } };

	k.copy = malloc(NR_ARENA_PAGES * PAGE);
	if (!k.copy)
		torture_violated(t, "no memory for a copy");
	while (!torture_stopped(t)) {
		int err = vas_bind(t->fd, 0, &k.vas);

		torture_count(&t->shared->beats[process][0]);
		if (!expect_busy(&k, "bind", err))
			continue;
		for (uint64_t i = 1 + test_random_below(&k.random, 5); i && !torture_stopped(t);
		     i--)
			track(&k);
		vas_unbind(k.vas);
	}
	free(k.copy);
}
