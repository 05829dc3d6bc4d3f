// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas restore: a snapshot becomes a vas, and is held. */
#include <errno.h>
#include <vas/lazy.h>
#include <vas/migrate.h>

#include "cli/vmm/child.h"
#include "cli/vmm/hold.h"
#include "cli/ui/verb.h"

#define LOOK_NS 100000000ull /* between two looks for a signal */

static const struct option longs[] = {
	{ "lazy", no_argument, NULL, 'l' },
	{ "any-folder", no_argument, NULL, 'a' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/*
 * Others use it meanwhile; they are told when all of it is there, and so is whoever started this.
 */
static int hold_lazy(struct vas *vas, const char *file, int as_json)
{
	int code, err = -ETIMEDOUT;

	block_signals();
	code = hold_tell(vas, as_json);
	while (!code && err == -ETIMEDOUT && !has_signal())
		err = vas_lazy_wait(vas, LOOK_NS);
	if (!code && !err)
		note("all of %s is there", file);
	else if (!code && err != -ETIMEDOUT)
		code = fail_vas(err, file);
	/* What could be restored is served on, whatever happened to the rest. */
	hold_serve(&vas, 1);
	return code;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":lajh", longs, 0 };
	int as_json = 0, c, code, err;
	uint32_t flags = 0;
	struct vas *vas;

	while ((c = option_next(&options)) >= 0) {
		as_json |= c == 'j';
		if (c == 'l')
			flags |= VAS_RESTORE_LAZY;
		if (c == 'a')
			flags |= VAS_RESTORE_ANY_FOLDER;
	}
	if (c == OPTION_STOP ||
	    option_rest(&options, 1, 1, "which file? vas restore FILE") == OPTION_STOP)
		return options.status;
	err = vas_snapshot_restore(argv[optind], flags, &vas);
	if (err)
		return hold_fail(err, argv[optind]);
	if (flags & VAS_RESTORE_LAZY)
		code = hold_lazy(vas, argv[optind], as_json);
	else
		code = hold_until_signal(vas, as_json);
	vas_destroy(vas);
	return code;
}

const struct verb verb_restore = {
	.name = "restore",
	.args = "[OPTION...] FILE",
	.summary = "Make a vas of a snapshot, and hold it open",
	.help = "  -l, --lazy         at once: memory comes as it is touched, and the rest meanwhile\n"
		"  -a, --any-folder   read parents that the snapshot names in other folders than its own\n"
		"  -j, --json         print what was made as JSON\n"
		"\n"
		"Parents of an incremental snapshot are read too, and every page is checked. Until all of a lazy\n"
		"one is there, only programs that use libvas may touch it.\n",
	.run = run,
};
