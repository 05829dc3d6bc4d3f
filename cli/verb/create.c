// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas create: make a vas, and hold it open or hand it to a command. */
#include "cli/vmm/plan.h"
#include "cli/vmm/start.h"
#include "cli/ui/verb.h"

static const struct option longs[] = {
	PLAN_OPTIONS,
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int hand_over(struct vas *vas, char *const *command)
{
	struct held held;
	int code;

	held_init(&held, vas);
	code = start_command(&held, command);
	if (!code) {
		hold_serve(&held, 1);
		code = held.code;
	}
	held_end(&held);
	return code;
}

static int create(struct plan *plan, char *const *command, int as_json)
{
	struct vas *vas;
	int code = plan_create(plan, &vas);

	if (code)
		return *command && code != EXIT_USAGE ? EXIT_OWN : code;
	return *command ? hand_over(vas, command) : hold_until_signal(vas, as_json);
}

static int take_options(struct options *options, struct plan *plan, int *as_json)
{
	int c;

	while ((c = option_next(options)) >= 0) {
		if (c == 'j')
			*as_json = 1;
		else
			options->status = plan_option(plan, c, optarg);
		if (options->status)
			return OPTION_STOP;
	}
	return c;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, "+:" PLAN_SHORTS "jh", longs, 0 };
	struct plan plan = { 0 };
	int as_json = 0, code;

	if (take_options(&options, &plan, &as_json) == OPTION_STOP)
		code = options.status;
	else
		code = create(&plan, argv + optind, as_json);
	plan_clean(&plan);
	return code;
}

const struct verb verb_create = {
	.name = "create",
	.args = "[OPTION...] [--] [COMMAND [ARGUMENT...]]",
	.summary = "Make a vas, and hold it open or hand it to a command",
	.help = PLAN_HELP
	"  -j, --json           print what was made as JSON\n"
	"\n"
	"Without a command, PID/FD of the vas is printed, and it is held until a signal ends this.\n"
	"A command inherits it as a file descriptor, whose number is in VAS_FD and takes the place of\n"
	"@FD@ in its arguments; the vas goes when it ends.\n",
	.run = run,
};
