// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas restore: a snapshot becomes a vas, and is held. */
#include <vas/migrate.h>

#include "cli/hold.h"
#include "cli/verb.h"

static const struct option longs[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":jh", longs, 0 };
	int as_json = 0, c, code, err;
	struct vas *vas;

	while ((c = option_next(&options)) >= 0)
		as_json |= c == 'j';
	if (c == OPTION_STOP ||
	    option_rest(&options, 1, 1, "which file? vas restore FILE") == OPTION_STOP)
		return options.status;
	err = vas_snapshot_restore(argv[optind], 0, &vas);
	if (err)
		return fail_vas(err, argv[optind]);
	code = hold_until_signal(vas, as_json);
	vas_destroy(vas);
	return code;
}

const struct verb verb_restore = {
	.name = "restore",
	.args = "[OPTION...] FILE",
	.summary = "Make a vas of a snapshot, and hold it open",
	.help = "  -j, --json   print what was made as JSON\n"
	"\n"
	"Parents of an incremental snapshot are read too, and every page is checked.\n",
	.run = run,
};
