// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas adopt: own a vas whose owner has ended, and do what an owner has to. */
#include "cli/target/name.h"
#include "cli/ui/verb.h"
#include "cli/vmm/guest.h"
#include "cli/vmm/hold.h"

static const struct option longs[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int own(const char *name, struct vas **vas)
{
	struct vas *binder;
	int code = name_bind(name, VAS_ROLE_BINDER, &binder), err;

	if (code)
		return code;
	err = guest_adopt(binder, vas);
	if (err)
		code = fail_vas(err, name);
	vas_unbind(binder);
	return code;
}

/* Its run folder may be there still, with the monitor of the guest's QEMU. */
static void begin(struct held *held, struct vas *vas)
{
	struct run_folder folder;

	block_signals();
	if (guest_find_folder(vas, &folder) || held_take(held, vas, &folder))
		held_init(held, vas);
	/* What was not made here is not ended here. */
	held->is_kept = 1;
}

static int adopt(const char *name, int as_json)
{
	struct held held;
	struct vas *vas;
	int code = own(name, &vas);

	if (code)
		return code;
	begin(&held, vas);
	code = hold_tell(vas, as_json);
	if (!code)
		hold_serve(&held, 1);
	held_end(&held);
	return code;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":jh", longs, 0 };
	int as_json = 0, c;

	while ((c = option_next(&options)) >= 0)
		as_json = 1;
	if (c == OPTION_STOP ||
	    option_rest(&options, 1, 1, "which vas? vas adopt NAME") == OPTION_STOP)
		return options.status;
	return adopt(argv[optind], as_json);
}

const struct verb verb_adopt = {
	.name = "adopt",
	.args = "[--json] NAME",
	.summary = "Own a vas whose owner has ended, and hold it open",
	.help = "  -j, --json           print what is held as JSON\n"
		"\n"
		"PID/FD of the vas is printed, and it is held until a signal ends this, or until it is\n"
		"moved. A signal leaves it as it was found: without an owner, to whoever has it open.\n",
	.run = run,
};
