// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas clone: many vas of one snapshot, which share what they do not touch. */
#include <stdlib.h>
#include <vas/migrate.h>

#include "cli/vmm/child.h"
#include "cli/vmm/hold.h"
#include "cli/target/parse.h"
#include "cli/ui/verb.h"

#define MOST 1024

static const struct option longs[] = {
	{ "number", required_argument, NULL, 'n' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int make(const char *file, struct vas **clones, int nr, int as_json)
{
	int code = EXIT_OK, err;

	for (int i = 0; !code && i < nr; i++) {
		err = vas_snapshot_restore(file, VAS_RESTORE_CLONE, &clones[i]);
		code = err ? fail_vas(err, file) : hold_tell(clones[i], as_json);
	}
	return code;
}

static int hold(const char *file, int nr, int as_json)
{
	struct vas **clones = calloc((size_t)nr, sizeof(*clones));
	int made = nr, code;

	if (!clones)
		return fail(EXIT_REFUSED, "no memory");
	block_signals();
	code = make(file, clones, nr, as_json);
	if (!code)
		hold_serve(clones, made);
	while (nr-- > 0)
		vas_destroy(clones[nr]);
	free(clones);
	return code;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":n:jh", longs, 0 };
	int as_json = 0, nr = 1, c;

	while ((c = option_next(&options)) >= 0) {
		if (c == 'n' && (parse_number(optarg, &nr) || nr < 1 || nr > MOST))
			return fail_usage("--number: '%s' is not 1 to %d", optarg, MOST);
		as_json |= c == 'j';
	}
	if (c == OPTION_STOP ||
	    option_rest(&options, 1, 1, "of which file? vas clone FILE") == OPTION_STOP)
		return options.status;
	return hold(argv[optind], nr, as_json);
}

const struct verb verb_clone = {
	.name = "clone",
	.args = "[OPTION...] FILE",
	.summary = "Make many vas of one snapshot, which share what they do not touch",
	.help = "  -n, --number=N   so many; a line with PID/FD is printed for each\n"
		"  -j, --json       print what was made as JSON, an object a line\n"
		"\n"
		"A page takes memory of a clone's own once somebody reads or writes it. Only programs that use libvas\n"
		"may do that; others find zeros. They are held until a signal ends this.\n",
	.run = run,
};
