// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas find: where in guest memory is this? */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ui/json.h"
#include "cli/target/parse.h"
#include "cli/find/buffer_search.h"
#include "cli/find/pattern.h"
#include "cli/find/search.h"
#include "cli/ui/output.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"
#include "cli/vmm/reading.h"

enum { FIND_RANGE = 2000, FIND_THREADS, FIND_CONTEXT, FIND_REGEX, FIND_FROZEN };

#define CONTEXT_MOST 4096

static const struct option longs[] = {
	{ "hex", required_argument, NULL, 'x' },
	{ "string", required_argument, NULL, 's' },
	{ "regex", required_argument, NULL, FIND_REGEX },
	{ "ignore-case", no_argument, NULL, 'i' },
	{ "context", required_argument, NULL, FIND_CONTEXT },
	{ "max", required_argument, NULL, 'm' },
	{ "count", no_argument, NULL, 'c' },
	{ "range", required_argument, NULL, FIND_RANGE },
	{ "frozen", no_argument, NULL, FIND_FROZEN },
	{ "threads", required_argument, NULL, FIND_THREADS },
	VIRTUAL_OPTIONS,
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct find {
	struct vas *vas;
	struct regions regions;
	struct virtual_space space; /* that gpas below are of, if it is chosen */
	struct patterns patterns;
	const char *expression;
	struct regex *regex; /* in place of the patterns */
	uint64_t max;
	uint64_t gpa, len, end;
	int nr_threads;
	int format; /* 'j', 'c', or 0: gpas */
	int ignores_case;
	int frozen;
	int shows_context;
	uint64_t context; /* bytes before and behind a match */
	uint64_t nr_found;
	uint64_t done;
	struct progress progress;
};

/* The range without a hole in which [gpa, gpa + len) lies. */
static void range_around(const struct regions *regions, uint64_t gpa, uint64_t len, uint64_t *start,
			 uint64_t *end)
{
	*start = *end = 0;
	for (size_t i = 0; i < regions->nr; i++) {
		const struct vas_region *region = &regions->at[i];

		if (region->gpa != *end && *end >= gpa + len)
			return;
		if (region->gpa != *end)
			*start = region->gpa;
		*end = region->gpa + region->size;
	}
}

/* Whole lines, with the match in them, and as many bytes around it as there are. */
static void print_context(const struct find *find, uint64_t gpa, uint64_t len)
{
	uint8_t bytes[3 * CONTEXT_MOST + 16];
	uint64_t least = gpa > find->context ? gpa - find->context : 0;
	uint64_t most = gpa + len + find->context, start, end;
	struct output output = { .file = stdout, .format = OUTPUT_DUMP };
	size_t done = 0;

	range_around(&find->regions, gpa, len, &start, &end);
	start = (start > least ? start : least) & ~15ull;
	end = end < most ? end : most;
	output.gpa = start;
	/* What is gone by now is not shown. */
	if (start < end)
		vas_peek(find->vas, start, bytes, end - start, &done);
	output_put(&output, bytes, done);
	output_end(&output);
}

static int found(void *context, uint64_t gpa, size_t pattern)
{
	struct find *find = context;

	if (find->format == 0) {
		text_clear_progress();
		if (find->patterns.nr > 1)
			printf("%s  %s\n", text_gpa(gpa).s, find->patterns.labels[pattern]);
		else
			puts(text_gpa(gpa).s);
		if (find->shows_context)
			print_context(find, gpa, find->regex ? 1 : find->patterns.at[pattern].len);
	} else if (find->format == 'j') {
		json_open(NULL, '{');
		json_number(find->space.is_chosen ? "va" : "gpa", gpa);
		json_number("pattern", pattern);
		json_close();
	}
	return ++find->nr_found == find->max;
}

static void progress(void *context, uint64_t done)
{
	struct find *find = context;

	find->done = done;
	progress_show(&find->progress, done, find->nr_found);
}

static void print_end(const struct find *find)
{
	uint64_t ns = progress_ns(&find->progress);

	text_clear_progress();
	if (find->format == 'j') {
		json_close();
		json_number("count", find->nr_found);
		json_number("scanned", find->done);
		json_number("ns", ns);
		json_close();
	} else if (find->format == 'c') {
		printf("%" PRIu64 "\n", find->nr_found);
	}
	fflush(stdout);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%" PRIu64 " found in %s, %.2f s, %.1f GB/s\n", find->nr_found,
			text_size(find->done).s, (double)ns / 1e9, (double)find->done / (double)ns);
}

static int search_in_buffer(struct find *find)
{
	struct buffer_search search = {
		.vas = find->vas,
		.space = find->space.is_chosen ? &find->space : NULL,
		.regions = &find->regions,
		.patterns = find->patterns.at,
		.nr_patterns = find->patterns.nr,
		.regex = find->regex,
		.at = find->gpa,
		.end = find->space.is_chosen ? find->gpa + find->len : find->end,
		.found = found,
		.progress = progress,
		.context = find,
	};

	return buffer_search_run(&search);
}

static int search_by_libvas(struct find *find)
{
	struct search search = { .vas = find->vas,
				 .regions = &find->regions,
				 .patterns = find->patterns.at,
				 .nr_patterns = find->patterns.nr,
				 .gpa = find->gpa,
				 .end = find->end,
				 .nr_threads = find->nr_threads,
				 .found = found,
				 .progress = progress,
				 .context = find };

	return search_run(&search);
}

static int search(struct vas *vas, const char *name, struct find *find)
{
	uint64_t total = 0;
	int err = regions_get(vas, &find->regions);

	if (err)
		return fail_vas(err, name);
	find->vas = vas;
	find->end = regions_end(&find->regions);
	if (find->len && find->gpa + find->len < find->end)
		find->end = find->gpa + find->len;
	/* Counting what there is takes a twentieth of the search: only for those who look on. */
	if (isatty(STDERR_FILENO) && find->space.is_chosen)
		total = find->len;
	else if (isatty(STDERR_FILENO))
		total = extents_data(vas, &find->regions, find->gpa, find->end);
	progress_begin(&find->progress, "find", total);
	if (find->format == 'j') {
		json_open(NULL, '{');
		json_open("matches", '[');
	}
	err = find->space.is_chosen || find->regex ? search_in_buffer(find) :
						     search_by_libvas(find);
	print_end(find);
	regions_clean(&find->regions);
	if (err == -E2BIG)
		return fail(EXIT_REFUSED,
			    "%s: --regex needs too much work on what is there: "
			    "make it simpler",
			    name);
	if (err)
		return fail_vas(err, name);
	return find->nr_found ? EXIT_OK : EXIT_NOT_FOUND;
}

static int take_range(struct find *find, const char *value)
{
	const char *colon = strchr(value, ':');

	if (colon && parse_size_n(value, (size_t)(colon - value), &find->gpa) == 0 &&
	    parse_size(colon + 1, &find->len) == 0 && find->len &&
	    find->gpa + find->len > find->gpa)
		return EXIT_OK;
	return fail_usage("--range: '%s' is not GPA:LEN, such as 0x100000:1G", value);
}

static int take_option(struct find *find, int option, const char *value)
{
	switch (option) {
	case 'x':
		return patterns_add_hex(&find->patterns, value);
	case 's':
		return patterns_add_text(&find->patterns, value);
	case 'm':
		if (parse_size(value, &find->max) == 0 && find->max)
			return EXIT_OK;
		return fail_usage("--max: '%s' is no number from 1 on", value);
	case OPTION_VIRTUAL:
	case OPTION_CR3:
	case OPTION_LA57:
	case OPTION_TTBR:
		return virtual_option(&find->space, option, value);
	case FIND_REGEX:
		if (find->expression)
			return fail_usage("--regex: one of them, with '|' in it for several");
		find->expression = value;
		return EXIT_OK;
	case 'i':
		find->ignores_case = 1;
		return EXIT_OK;
	case FIND_CONTEXT:
		find->shows_context = 1;
		if (parse_size(value, &find->context) == 0 && find->context <= CONTEXT_MOST)
			return EXIT_OK;
		return fail_usage("--context: '%s' is no number up to %d", value, CONTEXT_MOST);
	case FIND_FROZEN:
		find->frozen = 1;
		return EXIT_OK;
	case FIND_RANGE:
		return take_range(find, value);
	case FIND_THREADS:
		if (parse_number(value, &find->nr_threads) == 0 && find->nr_threads > 0 &&
		    find->nr_threads <= 1024)
			return EXIT_OK;
		return fail_usage("--threads: '%s' is no number from 1 to 1024", value);
	}
	find->format = option;
	return EXIT_OK;
}

static int check_virtual(const struct find *find)
{
	int code = virtual_check(&find->space);

	if (code || !find->space.is_chosen)
		return code;
	if (!find->len)
		return fail_usage("where in the virtual addresses? Give --range VA:LEN");
	if (find->shows_context)
		return fail_usage("--context does not go with virtual addresses: see vas read");
	return virtual_range_check(&find->space, find->gpa, find->len);
}

/* The first argument that is no option is the vas, the others are texts to look for. */
static int take_arguments(struct options *options, struct find *find)
{
	int code = EXIT_OK;

	if (option_rest(options, 1, options->argc, "which vas? vas find NAME PATTERN") < 0)
		return options->status;
	for (int i = optind + 1; !code && i < options->argc; i++)
		code = patterns_add_text(&find->patterns, options->argv[i]);
	if (!code && find->expression && find->patterns.nr)
		code = fail_usage(
			"--regex goes with no other pattern: write '|' in it for several");
	if (!code && find->expression)
		code = regex_compile(&find->regex, find->expression, find->ignores_case);
	if (!code && !find->patterns.nr && !find->expression)
		code = fail_usage("what is to be found? Give a text, or --hex DIGITS");
	if (!code)
		code = check_virtual(find);
	if (!code && find->shows_context && find->format)
		code = fail_usage("--context goes with neither --json nor --count");
	if (find->ignores_case)
		patterns_ignore_case(&find->patterns);
	return code;
}

static int find_in(const char *name, struct find *find)
{
	struct reading reading;
	int code = reading_begin(&reading, name, find->frozen);

	if (code)
		return code;
	code = search(reading.vas, name, find);
	return reading_end(&reading, code);
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":x:s:im:cjh", longs, 0 };
	struct find find = { .nr_threads = (int)sysconf(_SC_NPROCESSORS_ONLN) };
	int c, code = EXIT_OK;

	while (!code && (c = option_next(&options)) >= 0)
		code = take_option(&find, c, optarg);
	if (!code && c == OPTION_STOP)
		code = options.status;
	else if (!code)
		code = take_arguments(&options, &find);
	if (!code && c == OPTION_END)
		code = find_in(argv[optind], &find);
	patterns_clean(&find.patterns);
	regex_free(find.regex);
	return code;
}

const struct verb verb_find = {
	.name = "find",
	.args = "NAME [TEXT...] [--hex DIGITS]... [OPTION...]",
	.summary = "Find bytes in guest memory",
	.help = "  -s, --string TEXT    a text to look for, as the arguments behind NAME are\n"
		"  -x, --hex DIGITS     bytes in hex; '?' stands for any digit: \"de ad ?? be\"\n"
		"      --regex RE       a regular expression of Perl's kind, over bytes\n"
		"  -i, --ignore-case    of ASCII letters in texts and in RE\n"
		"      --context N      show the bytes, and N around them\n"
		"  -m, --max N          end after N matches\n"
		"  -c, --count          print only how many there are\n"
		"      --range GPA:LEN  look only there\n"
		"      --threads N      else one a core\n" FROZEN_HELP VIRTUAL_HELP
		"  -j, --json           as JSON, with the bytes searched and the time that it took\n"
		"\n"
		"Prints the gpa of each match, also of those that overlap, in ascending order; of several\n"
		"patterns, also which one it is. Exit code 1: none.\n",
	.run = run,
};
