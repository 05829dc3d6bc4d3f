// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas restore: a snapshot becomes a vas, and is held. */
#include <errno.h>
#include <stdio.h>
#include <vas/lazy.h>
#include <vas/migrate.h>

#include "cli/ui/verb.h"
#include "cli/vmm/restored.h"

#define LOOK_NS 100000000ull /* between two looks for a signal */

enum { RESTORE_NO_START = 2000, RESTORE_PAUSED, RESTORE_SHOW };

static const struct option longs[] = {
	{ "lazy", no_argument, NULL, 'l' },
	{ "any-folder", no_argument, NULL, 'a' },
	{ "json", no_argument, NULL, 'j' },
	{ "no-start", no_argument, NULL, RESTORE_NO_START },
	{ "paused", no_argument, NULL, RESTORE_PAUSED },
	{ "show", no_argument, NULL, RESTORE_SHOW },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/*
 * Others use it meanwhile; they are told when all of it is there, and so is whoever started this.
 */
static int hold_lazy(struct vas *vas, const char *file, int as_json)
{
	struct held held;
	int code, err = -ETIMEDOUT;

	held_init(&held, vas);
	code = hold_tell(vas, as_json);
	while (!code && err == -ETIMEDOUT && !has_signal())
		err = vas_lazy_wait(vas, LOOK_NS);
	if (!code && !err)
		note("all of %s is there", file);
	else if (!code && err != -ETIMEDOUT)
		code = fail_vas(err, file);
	/* What could be restored is served on, whatever happened to the rest. */
	hold_serve(&held, 1);
	held_end(&held);
	return code;
}

static int hold_memory(const char *file, uint32_t flags, int as_json)
{
	struct vas *vas;
	int err = vas_snapshot_restore(file, flags, &vas);

	if (err)
		return hold_fail(err, file);
	return flags & VAS_RESTORE_LAZY ? hold_lazy(vas, file, as_json) :
					  hold_until_signal(vas, as_json);
}

/* For a shell, one word a line. */
static int show(const struct restored *restored)
{
	for (char **word = restored->record.command; *word; word++)
		puts(*word);
	return EXIT_OK;
}

static int act(struct restored *restored, uint32_t flags, int as_json, int shows)
{
	if (shows && !restored->has_guest)
		return fail(EXIT_NOT_FOUND, "%s: there is no guest of QEMU's in it",
			    restored->file);
	if (shows)
		return show(restored);
	if (restored->starts)
		return restored_run(restored, 1, as_json);
	return hold_memory(restored->file, flags, as_json);
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":lajh", longs, 0 };
	struct restored restored = { .path = -1 };
	int as_json = 0, shows = 0, c, code;
	uint32_t flags = 0;

	while ((c = option_next(&options)) >= 0) {
		as_json |= c == 'j';
		shows |= c == RESTORE_SHOW;
		restored.holds_only |= c == RESTORE_NO_START;
		restored.stays_paused |= c == RESTORE_PAUSED;
		if (c == 'l')
			flags |= VAS_RESTORE_LAZY;
		if (c == 'a')
			flags |= VAS_RESTORE_ANY_FOLDER;
	}
	if (c == OPTION_STOP)
		return options.status;
	restored.flags = flags;
	code = restored_take_args(&restored, argc, argv, "which file? vas restore FILE");
	if (!code)
		code = restored_open(&restored, shows);
	if (!code)
		code = act(&restored, flags, as_json, shows);
	restored_close(&restored);
	return code;
}

const struct verb verb_restore = {
	.name = "restore",
	.args = "[OPTION...] FILE [-- QEMU [ARGUMENT...]]",
	.summary = "Let a guest go on from a snapshot, or hold its memory",
	.help = "  -l, --lazy         at once: memory comes as it is touched, and the rest meanwhile\n"
		"  -a, --any-folder   read parents that the snapshot names in other folders than its own\n"
		"  -j, --json         print what was made as JSON\n"
		"      --no-start     hold the memory, and start no QEMU\n"
		"      --paused       start QEMU, and let the guest stand until 'vas resume'\n"
		"      --show         print how QEMU was started, an argument a line, and do nothing\n"
		"\n"
		"Parents of an incremental snapshot are read too, and every page is checked. A snapshot of a\n"
		"running guest has its QEMU's state: QEMU is started as it was then, or as the words behind\n"
		"-- say. Memory alone is held until a signal comes; until all of a lazy one is there, only\n"
		"programs that use libvas may touch it.\n",
	.run = run,
};
