// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "torture.h"

static const struct option names[] = {
	{ "seconds", required_argument, NULL, 's' },
	{ "kills", required_argument, NULL, 'k' },
	{ "changes", required_argument, NULL, 'c' },
	{ "checks", required_argument, NULL, 'f' },
	{ "processes", required_argument, NULL, 'p' },
	{ "threads", required_argument, NULL, 't' },
	{ "pause-us", required_argument, NULL, 'u' },
	{ "load", no_argument, NULL, 'l' },
	{ "seed", required_argument, NULL, 'r' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char text[] =
	"  --seconds N    the end, whatever else is wanted\n"
	"  --kills N      with --changes, --checks: the end as soon as there were so many (0: no end)\n"
	"  --changes N    layout changes that were committed\n"
	"  --checks N     comparisons of all copies with memory, by the tracking torture\n"
	"  --processes N  beside the owner\n"
	"  --threads N    of each\n"
	"  --pause-us N   the longest time between two kills; 0: nobody is killed\n"
	"  --load         with busy processors and memory, and processes that stop for a while\n"
	"  --seed N       of an earlier run\n";

static void usage(const char *name, const char *what, int status)
{
	fprintf(status ? stderr : stdout, "usage: %s [OPTION]...\nTorture %s.\n%s", name, what,
		text);
	exit(status);
}

static int set(struct torture *t, int option, uint64_t value)
{
	struct torture_options *o = &t->options;

	switch (option) {
	case 's':
		o->seconds = (unsigned int)value;
		break;
	case 'k':
		o->kills = value;
		break;
	case 'c':
		o->changes = value;
		break;
	case 'f':
		o->checks = value;
		break;
	case 'p':
		o->processes = (unsigned int)value;
		break;
	case 't':
		o->threads = (unsigned int)value;
		break;
	case 'u':
		o->pause_us = (unsigned int)value;
		break;
	case 'l':
		o->load = 1;
		break;
	case 'r':
		t->seed = value;
		break;
	default:
		return -1;
	}
	return 0;
}

static void parse(struct torture *t, int argc, char **argv, const char *what)
{
	const struct torture_options *o = &t->options;
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'h')
			usage(argv[0], what, 0);
		if (option == '?' || set(t, option, optarg ? strtoull(optarg, NULL, 0) : 0))
			usage(argv[0], what, 2);
	}
	if (optind != argc || !o->processes || o->processes >= MAX_PROCESSES || !o->threads ||
	    o->threads > MAX_THREADS)
		usage(argv[0], what, 2);
}

void torture_init(struct torture *t, int argc, char **argv, const char *what)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getrandom(&t->seed, sizeof(t->seed), 0) < 0)
		t->seed = test_now_ns();
	parse(t, argc, argv, what);
	printf("1..1\n# seed %" PRIu64 "\n", t->seed);
	t->shared = mmap(NULL, sizeof(*t->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(t->shared != MAP_FAILED);
}

int torture_result(struct torture *t, const char *name, int fds)
{
	if (test_count_fds() != fds)
		torture_complain(t, "left over: %d fds, were %d", test_count_fds(), fds);
	if (t->shared->violated)
		printf("# violated: %s\n", t->shared->violation);
	printf("%s 1 - %s\n", t->shared->violated ? "not ok" : "ok", name);
	return t->shared->violated;
}
