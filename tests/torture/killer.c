// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The first process: makes the vas, starts the others, kills one after the other and starts it again,
 * and sees at the end that nothing of the dead is left. It holds fds only, so that its children
 * inherit no handle.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "torture.h"

#define STUCK_NS     30000000000ull
#define EXIT_CHECKED 3

struct killer {
	struct torture t;
	struct test_random random;
	pid_t pids[MAX_PROCESSES]; /* 0 is the owner's */
	unsigned int nr;
	uint64_t started; /* processes, ever */
	uint64_t kills, owner_kills;
	uint64_t start_ns;
	uint64_t beat[MAX_PROCESSES], beat_ns[MAX_PROCESSES];
};

static void violated(struct torture *t, const char *format, va_list ap)
{
	int nobody = 0;

	if (__atomic_compare_exchange_n(&t->shared->violated, &nobody, 1, 0, __ATOMIC_ACQ_REL,
					__ATOMIC_RELAXED))
		vsnprintf(t->shared->violation, sizeof(t->shared->violation), format, ap);
	__atomic_store_n(&t->shared->stop, 1, __ATOMIC_RELEASE);
}

void torture_violated(struct torture *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	violated(t, format, ap);
	va_end(ap);
	if (getenv("TORTURE_ABORT"))
		abort();
	_exit(EXIT_CHECKED);
}

/* As torture_violated(), in the process that goes on to clean up. */
__attribute__((format(printf, 2, 3))) static void complain(struct torture *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	violated(t, format, ap);
	va_end(ap);
}

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

/* ---- processes ------------------------------------------------------------------------------ */

static void start(struct killer *k, unsigned int i)
{
	uint64_t seed = k->t.seed + 1000003 * ++k->started;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (i == 0)
			owner_run(&k->t, i, seed);
		else
			worker_run(&k->t, i, seed);
		exit(0);
	}
	CHECK(pid > 0);
	k->pids[i] = pid;
	k->beat_ns[i] = test_now_ns();
}

/* None ends by itself while the torture goes on. */
static void look_after(struct killer *k, unsigned int i)
{
	uint64_t beat = 0, now = test_now_ns();
	int status;

	if (waitpid(k->pids[i], &status, WNOHANG) == k->pids[i]) {
		k->pids[i] = 0;
		if (!torture_stopped(&k->t))
			complain(&k->t, "process %u ended: %s %d", i,
				 WIFSIGNALED(status) ? "signal" : "status",
				 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		return;
	}
	for (unsigned int thread = 0; thread < k->t.options.threads; thread++)
		beat += __atomic_load_n(&k->t.shared->beats[i][thread], __ATOMIC_RELAXED);
	if (beat != k->beat[i])
		k->beat_ns[i] = now;
	else if (now - k->beat_ns[i] > STUCK_NS)
		complain(&k->t, "process %u is stuck", i);
	k->beat[i] = beat;
}

static void kill_one(struct killer *k)
{
	unsigned int i = (unsigned int)test_random_below(&k->random, k->nr);
	int status;

	if (!k->pids[i])
		return;
	kill(k->pids[i], SIGKILL);
	CHECK_EQ(waitpid(k->pids[i], &status, 0), k->pids[i]);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
		k->pids[i] = 0;
		if (!torture_stopped(&k->t))
			complain(&k->t, "process %u ended before it was killed: %#x", i, status);
		return;
	}
	k->kills++;
	k->owner_kills += i == 0;
	start(k, i);
}

static int finished(const struct killer *k)
{
	const struct torture_options *options = &k->t.options;

	return torture_stopped(&k->t) ||
	       test_now_ns() - k->start_ns > options->seconds * 1000000000ull ||
	       (options->kills && k->kills >= options->kills &&
		k->t.shared->nr_commits >= options->changes);
}

static void torture(struct killer *k)
{
	const struct torture_options *options = &k->t.options;

	k->start_ns = test_now_ns();
	for (unsigned int i = 0; i < k->nr; i++)
		start(k, i);
	while (!finished(k)) {
		uint64_t ns = 1000 * (1 + test_random_below(&k->random, options->pause_us));
		const struct timespec pause = { 0, (long)(options->pause_us ? ns : 10000000) };

		ppoll(NULL, 0, &pause, NULL);
		for (unsigned int i = 0; i < k->nr; i++)
			if (k->pids[i])
				look_after(k, i);
		if (options->pause_us && !torture_stopped(&k->t))
			kill_one(k);
	}
}

static void stop(struct killer *k)
{
	uint64_t end = test_now_ns() + STUCK_NS;
	const struct timespec pause = { 0, 1000000 };

	__atomic_store_n(&k->t.shared->stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < k->nr; i++) {
		while (k->pids[i] && waitpid(k->pids[i], NULL, WNOHANG) == 0) {
			if (test_now_ns() > end) {
				complain(&k->t, "process %u does not stop", i);
				kill(k->pids[i], SIGKILL);
			}
			ppoll(NULL, 0, &pause, NULL);
		}
	}
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Of all that were killed nothing is left, once a new owner has made one change. */
static void check_leaks(struct killer *k)
{
	struct torture *t = &k->t;
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
		complain(t, "left over: %u binders, %u pins, %u threads", info.nr_binders,
			 info.nr_pins, info.nr_threads);
	vas_destroy(vas);
}

static void print_rates(const struct killer *k)
{
	const struct torture_shared *s = k->t.shared;
	double seconds = (double)(test_now_ns() - k->start_ns) / 1e9;

	printf("# %.1f s, %u workers of %u threads\n", seconds, k->nr - 1, k->t.options.threads);
	printf("# kills %" PRIu64 " (%.0f/s), of them owners %" PRIu64 "; adoptions %" PRIu64 "\n",
	       k->kills, (double)k->kills / seconds, k->owner_kills, s->nr_adopted);
	printf("# layout changes %" PRIu64 " (%.0f/s), refused for a section %" PRIu64
	       ", for a map %" PRIu64 "\n",
	       s->nr_commits, (double)s->nr_commits / seconds, s->nr_busy[0], s->nr_busy[1]);
	printf("# reads %" PRIu64 ", writes %" PRIu64 ", maps %" PRIu64 ", observations %" PRIu64
	       ", ended in a clean error %" PRIu64 "\n",
	       s->nr_reads, s->nr_writes, s->nr_maps, s->nr_observed, s->nr_holes);
}

static void usage(const char *name)
{
	fprintf(stderr,
		"usage: %s [--seconds N] [--kills N] [--changes N] [--processes N] [--threads N]\n"
		"       [--pause-us N] [--seed N]\n"
		"Until the seconds are over, or so many kills and layout changes are done.\n",
		name);
	exit(2);
}

static void parse(struct killer *k, int argc, char **argv)
{
	struct torture_options *o = &k->t.options;

	for (int i = 1; i < argc; i += 2) {
		uint64_t value = i + 1 < argc ? strtoull(argv[i + 1], NULL, 0) : 0;

		if (i + 1 == argc)
			usage(argv[0]);
		else if (!strcmp(argv[i], "--seconds"))
			o->seconds = (unsigned int)value;
		else if (!strcmp(argv[i], "--kills"))
			o->kills = value;
		else if (!strcmp(argv[i], "--changes"))
			o->changes = value;
		else if (!strcmp(argv[i], "--processes"))
			o->processes = (unsigned int)value;
		else if (!strcmp(argv[i], "--threads"))
			o->threads = (unsigned int)value;
		else if (!strcmp(argv[i], "--pause-us"))
			o->pause_us = (unsigned int)value;
		else if (!strcmp(argv[i], "--seed"))
			k->t.seed = value;
		else
			usage(argv[0]);
	}
	if (!o->processes || o->processes >= MAX_PROCESSES || !o->threads ||
	    o->threads > MAX_THREADS)
		usage(argv[0]);
}

int main(int argc, char **argv)
{
	static struct killer k = {
		.t.options = { .processes = 6, .threads = 2, .seconds = 15, .pause_us = 20000 },
	};
	int fds;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getrandom(&k.t.seed, sizeof(k.t.seed), 0) < 0)
		k.t.seed = test_now_ns();
	parse(&k, argc, argv);
	printf("1..1\n# seed %" PRIu64 "\n", k.t.seed);
	k.random.state = k.t.seed;
	k.nr = 1 + k.t.options.processes;
	k.t.shared = mmap(NULL, sizeof(*k.t.shared), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(k.t.shared != MAP_FAILED);
	make_vas(&k.t);
	fds = test_count_fds();
	torture(&k);
	stop(&k);
	print_rates(&k);
	if (!k.t.shared->violated)
		check_leaks(&k);
	if (test_count_fds() != fds)
		complain(&k.t, "left over: %d fds, were %d", test_count_fds(), fds);
	if (k.t.shared->violated)
		printf("# violated: %s\n", k.t.shared->violation);
	printf("%s 1 - torture\n", k.t.shared->violated ? "not ok" : "ok");
	return k.t.shared->violated;
}
