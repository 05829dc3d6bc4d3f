// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas compare: is this what guest memory holds? */
#include "cli/target/argument.h"
#include "cli/target/copy.h"
#include "cli/target/name.h"
#include "cli/target/source.h"
#include "cli/ui/text.h"

static const struct option longs[] = {
	SOURCE_OPTIONS,
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct comparison {
	struct user user;
	struct vas *vas;
	const char *name;
	uint64_t gpa;
};

static int fail_differs(const struct comparison *comparison, uint64_t gpa, uint8_t wanted)
{
	uint8_t byte = 0;

	vas_read(comparison->vas, gpa, &byte, 1, NULL);
	return fail(EXIT_NOT_FOUND, "%s: differs at %s: %02x there, %02x given", comparison->name,
		    text_gpa(gpa).s, byte, wanted);
}

static int compare_segment(struct user *user, uint64_t at, const uint8_t *bytes, size_t len)
{
	const struct comparison *comparison = (const struct comparison *)user;
	size_t done = 0;
	int order = 0, err;

	err = vas_compare(comparison->vas, comparison->gpa + at, bytes, len, &order, &done);
	if (err)
		return copy_stopped(comparison->name, err, comparison->gpa, at + done, at + len);
	if (order)
		return fail_differs(comparison, comparison->gpa + at + done, bytes[done]);
	return EXIT_OK;
}

static int compare_at(char **argv, struct source *source)
{
	struct comparison comparison = { .user.use = compare_segment, .name = argv[0] };
	int code = argument_gpa(argv[1], &comparison.gpa);

	if (!code)
		code = name_bind_to_read(comparison.name, &comparison.vas);
	if (code)
		return code;
	code = source_each(source, &comparison.user);
	vas_unbind(comparison.vas);
	return code;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":" SOURCE_SHORTS "h", longs, 0 };
	struct source source = SOURCE_INIT;
	int c;

	while ((c = option_next(&options)) >= 0) {
		options.status = source_option(&source, c, optarg);
		if (options.status)
			break;
	}
	if (c == OPTION_END &&
	    option_rest(&options, 2, 2, "with what? vas compare NAME GPA --hex DIGITS") > 0)
		options.status = compare_at(argv + optind, &source);
	source_clean(&source);
	return options.status;
}

const struct verb verb_compare = {
	.name = "compare",
	.args = "NAME GPA [--hex DIGITS | --string TEXT | --file FILE]",
	.summary = "Compare guest memory with bytes of yours",
	.help = SOURCE_HELP
	"Exit code 0: equal, 1: different, and the message tells where first.\n",
	.run = run,
};
