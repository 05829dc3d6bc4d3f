// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The layout torture: makes the vas, has processes work and die, and sees that nothing is left. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "killer.h"

/* ---- the vas -------------------------------------------------------------------------------- */

static void map_memory(struct torture *t, unsigned int file)
{
	t->memory[file] = mmap(NULL, FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			       t->files[file], 0);
	CHECK(t->memory[file] != MAP_FAILED);
}

static void add_backing(struct torture *t, struct vas *vas, unsigned int file)
{
	int fd = memfd_create("torture-backing", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0);
	CHECK_OK(ftruncate(fd, FILE_PAGES * PAGE));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	CHECK_EQ(vas_backing_add(vas, fd), file);
	t->files[file] = fd;
	map_memory(t, file);
}

static void add_dummy(struct torture *t, struct vas *vas)
{
	const struct vas_region dummy = { .size = PAGE, .offset = slot_offset(DUMMY_SLOT) };

	page_fill((struct page *)(t->memory[0] + dummy.offset), DUMMY_SLOT, 0, t->seed);
	CHECK_OK(vas_region_add(vas, &dummy, NULL));
}

static void make_vas(struct torture *t)
{
	const struct vas_options options = {
		.limit = LIMIT_PAGES * PAGE,
		.ram_size = FILE_PAGES * PAGE,
		.name = "torture",
		.max_regions = NR_SLOTS + 1,
		.nr_slots = 256,
	};
	struct vas *vas;

	CHECK_OK(vas_create(&options, &vas));
	t->fd = t->files[0] = dup(vas_fd(vas));
	map_memory(t, 0);
	for (unsigned int file = 1; file <= NR_BACKINGS; file++)
		add_backing(t, vas, file);
	add_dummy(t, vas);
	vas_unbind(vas);
}

/* ---- the run -------------------------------------------------------------------------------- */

static void run_process(struct torture *t, unsigned int i, uint64_t seed)
{
	if (i == 0)
		owner_run(t, i, seed);
	else
		worker_run(t, i, seed);
}

static int finished(const struct killer *k)
{
	const struct torture_options *options = &k->t->options;

	return torture_is_over(k->t, k->start_ns) ||
	       (options->kills && k->kills >= options->kills &&
		k->t->shared->nr_commits >= options->changes);
}

static void torture(struct killer *k)
{
	killer_start(k, 1 + k->t->options.processes);
	while (!finished(k)) {
		killer_pause(k);
		if (k->t->options.pause_us && !torture_stopped(k->t))
			killer_kill_one(k, 0, k->nr);
	}
	killer_stop(k);
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Of all that were killed nothing is left, once a new owner has made one change. */
static void check_leaks(struct killer *k)
{
	struct torture *t = k->t;
	struct vas_region region;
	struct vas_info info;
	struct vas *vas;

	CHECK_OK(torture_bind(t, VAS_BIND_ADOPT, &vas));
	CHECK_OK(vas_region_by_id(vas, 1, &region));
	CHECK_EQ(region.offset, slot_offset(DUMMY_SLOT));
	for (uint64_t gpa = 0; vas_region_move(vas, region.id, gpa) == -EEXIST; gpa += PAGE)
		;
	CHECK_OK(vas_info(vas, &info));
	if (info.nr_binders != 1 || info.nr_pins || info.nr_threads > 1)
		torture_complain(t, "left over: %u binders, %u pins, %u threads", info.nr_binders,
				 info.nr_pins, info.nr_threads);
	vas_destroy(vas);
}

static void print_rates(const struct killer *k)
{
	const struct torture_shared *s = k->t->shared;
	double seconds = (double)(test_now_ns() - k->start_ns) / 1e9;

	printf("# %.1f s, %u workers of %u threads\n", seconds, k->nr - 1, k->t->options.threads);
	if (k->t->options.load)
		printf("# under load: stops %" PRIu64 " (%.0f/s), of them owners %" PRIu64 "\n",
		       k->stops, (double)k->stops / seconds, k->owner_stops);
	printf("# kills %" PRIu64 " (%.0f/s), of them owners %" PRIu64 "; adoptions %" PRIu64 "\n",
	       k->kills, (double)k->kills / seconds, k->owner_kills, s->nr_adopted);
	printf("# layout changes %" PRIu64 " (%.0f/s), refused for a section %" PRIu64
	       ", for a map %" PRIu64 "\n",
	       s->nr_commits, (double)s->nr_commits / seconds, s->nr_busy[0], s->nr_busy[1]);
	printf("# reads %" PRIu64 ", writes %" PRIu64 ", maps %" PRIu64 ", observations %" PRIu64
	       ", ended in a clean error %" PRIu64 "\n",
	       s->nr_reads, s->nr_writes, s->nr_maps, s->nr_observed, s->nr_holes);
}

int main(int argc, char **argv)
{
	static struct torture t = {
		.options = { .processes = 6, .threads = 2, .seconds = 15, .pause_us = 20000 },
	};
	static struct killer k = { .t = &t, .run = run_process };
	int fds;

	torture_init(&t, argc, argv,
		     "until the seconds are over, or so many kills and layout changes are done");
	k.random.state = t.seed;
	make_vas(&t);
	fds = test_count_fds();
	torture(&k);
	print_rates(&k);
	if (!t.shared->violated)
		check_leaks(&k);
	return torture_result(&t, "torture", fds);
}
