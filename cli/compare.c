// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas compare: is this what guest memory holds? */
#include <stdlib.h>
#include <string.h>

#include "cli/copy.h"
#include "cli/name.h"
#include "cli/parse.h"
#include "cli/source.h"
#include "cli/text.h"

static const struct option longs[] = {
	SOURCE_OPTIONS,
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int fail_differs(struct vas *vas, const char *name, uint64_t gpa, uint8_t wanted)
{
	uint8_t byte = 0;

	vas_read(vas, gpa, &byte, 1, NULL);
	return fail(EXIT_NOT_FOUND, "%s: differs at %s: %02x there, %02x given", name,
		    text_gpa(gpa).s, byte, wanted);
}

static int compare_pieces(struct vas *vas, const char *name, uint64_t gpa, struct source *source)
{
	uint8_t *piece = malloc(COPY_PIECE);
	uint64_t equal = 0;
	int code = piece ? EXIT_OK : fail(EXIT_REFUSED, "no memory");

	while (!code) {
		long nr = source_read(source, piece, COPY_PIECE);
		size_t done = 0;
		int err, order = 0;

		if (nr < 0)
			code = fail(EXIT_REFUSED, "%s: %s", source->path, strerror((int)-nr));
		if (nr <= 0)
			break;
		err = vas_compare(vas, gpa + equal, piece, (size_t)nr, &order, &done);
		if (err)
			code = copy_stopped(name, err, gpa, equal + done, equal + (size_t)nr);
		else if (order)
			code = fail_differs(vas, name, gpa + equal + done, piece[done]);
		equal += done;
	}
	free(piece);
	return code;
}

static int compare_at(char **argv, struct source *source)
{
	uint64_t gpa;
	struct vas *vas;
	int code;

	if (parse_size(argv[1], &gpa))
		return fail_usage("'%s' is no address: write 0x1000, 4096 or 4K", argv[1]);
	code = name_bind(argv[0], VAS_ROLE_OBSERVER, &vas);
	if (code)
		return code;
	code = compare_pieces(vas, argv[0], gpa, source);
	vas_unbind(vas);
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
