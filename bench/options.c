// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "options.h"

static const struct option long_options[] = {
	{ "case", required_argument, NULL, 'c' },   { "cpu", required_argument, NULL, 'p' },
	{ "help", no_argument, NULL, 'h' },	    { "json", no_argument, NULL, 'j' },
	{ "list", no_argument, NULL, 'l' },	    { "quick", no_argument, NULL, 'q' },
	{ "rounds", required_argument, NULL, 'r' }, { 0 },
};

static void print_help(const struct bench *bench)
{
	printf("Usage: bench-%s [OPTION]...\n"
	       "%s\n\n"
	       "  --case PATTERN  only the cases that match this shell pattern ('*/64/*')\n"
	       "  --cpu N         run on this core (default: the last that may be used)\n"
	       "  --rounds N      how often each subject is measured, 1 to %d (default: 21)\n"
	       "  --quick         5 short rounds: a look, not a result\n"
	       "  --json          one record a line instead of a table\n"
	       "  --list          print the names of the cases\n"
	       "  --help          print this\n",
	       bench->name, bench->summary, BENCH_MAX_ROUNDS);
}

static int parse_number(const char *text, long min, long max, long *value)
{
	char *end;

	errno = 0;
	*value = strtol(text, &end, 10);
	if (errno || end == text || *end || *value < min || *value > max) {
		fprintf(stderr, "%s: not a number from %ld to %ld\n", text, min, max);
		return -EINVAL;
	}
	return 0;
}

static int parse_one(struct bench_options *options, const struct bench *bench, int option)
{
	long number;

	switch (option) {
	case 'c':
		options->pattern = optarg;
		return 0;
	case 'p':
		if (parse_number(optarg, 0, 4095, &number))
			return -EINVAL;
		options->cpu = (int)number;
		return 0;
	case 'r':
		if (parse_number(optarg, 1, BENCH_MAX_ROUNDS, &number))
			return -EINVAL;
		options->rounds = (unsigned int)number;
		return 0;
	case 'q':
		options->rounds = 5;
		options->round_ns = 500 * 1000;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case 'l':
		options->list = true;
		return 0;
	case 'h':
		print_help(bench);
		return 1;
	default:
		return -EINVAL; /* getopt said why */
	}
}

int bench_options_parse(struct bench_options *options, const struct bench *bench, int argc,
			char **argv)
{
	int option;
	int ret;

	*options = (struct bench_options){ .rounds = 21, .round_ns = 3000 * 1000, .cpu = -1 };
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		ret = parse_one(options, bench, option);
		if (ret)
			return ret;
	}
	if (optind < argc) {
		fprintf(stderr, "%s: unknown argument; see --help\n", argv[optind]);
		return -EINVAL;
	}
	return 0;
}
