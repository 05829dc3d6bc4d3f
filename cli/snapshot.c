// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas snapshot: a vas's memory and layout, into a file. */
#include <vas/migrate.h>

#include "cli/hold.h"
#include "cli/verb.h"

static const struct option longs[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":h", longs, 0 };
	struct vas *vas;
	int code, err;

	if (option_next(&options) == OPTION_STOP ||
	    option_rest(&options, 2, 2, "into which file? vas snapshot NAME FILE") == OPTION_STOP)
		return options.status;
	code = hold_adopt(argv[optind], &vas);
	if (code)
		return code;
	err = vas_snapshot_save(vas, argv[optind + 1], NULL, NULL);
	if (err)
		code = fail_vas(err, argv[optind]);
	/* It was there without an owner before, and is again. */
	vas_unbind(vas);
	return code;
}

const struct verb verb_snapshot = {
	.name = "snapshot",
	.args = "NAME FILE",
	.summary = "Save a vas's memory and layout to a file",
	.help = "The file is sparse, and appears under its name when it is whole. The vas must have no living\n"
	"owner: a machine that runs is saved by the process that runs it (vas_snapshot_save(3)).\n",
	.run = run,
};
