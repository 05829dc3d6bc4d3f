// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas write: change guest memory by guest-physical address. */
#include <stdlib.h>
#include <string.h>

#include "cli/copy.h"
#include "cli/name.h"
#include "cli/parse.h"
#include "cli/source.h"

static const struct option longs[] = {
	SOURCE_OPTIONS,
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int write_pieces(struct vas *vas, const char *name, uint64_t gpa, struct source *source)
{
	uint8_t *piece = malloc(COPY_PIECE);
	uint64_t written = 0;
	int code = piece ? EXIT_OK : fail(EXIT_REFUSED, "no memory");

	while (!code) {
		long nr = source_read(source, piece, COPY_PIECE);
		size_t done = 0;
		int err;

		if (nr < 0)
			code = fail(EXIT_REFUSED, "%s: %s", source->path, strerror((int)-nr));
		if (nr <= 0)
			break;
		err = vas_write(vas, gpa + written, piece, (size_t)nr, &done);
		if (err)
			code = copy_stopped(name, err, gpa, written + done, written + (size_t)nr);
		written += done;
	}
	free(piece);
	return code;
}

static int write_at(char **argv, struct source *source)
{
	uint64_t gpa;
	struct vas *vas;
	int code;

	if (parse_size(argv[1], &gpa))
		return fail_usage("'%s' is no address: write 0x1000, 4096 or 4K", argv[1]);
	code = name_bind(argv[0], VAS_ROLE_BINDER, &vas);
	if (code)
		return code;
	code = write_pieces(vas, argv[0], gpa, source);
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
	    option_rest(&options, 2, 2, "where to? vas write NAME GPA --hex DIGITS") > 0)
		options.status = write_at(argv + optind, &source);
	source_clean(&source);
	return options.status;
}

const struct verb verb_write = {
	.name = "write",
	.args = "NAME GPA [--hex DIGITS | --string TEXT | --file FILE]",
	.summary = "Change guest memory",
	.help = SOURCE_HELP
	"A hole in the layout, or a read-only region, ends it; the message tells how far it got.\n",
	.run = run,
};
