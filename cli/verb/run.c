// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas run: start a VMM, QEMU without any change above all, on a vas. */
#include <unistd.h>

#include "cli/vmm/plan.h"
#include "cli/vmm/qemu.h"
#include "cli/vmm/start.h"
#include "cli/ui/text.h"
#include "cli/ui/verb.h"

enum { RUN_KEEP = 2000, RUN_GIVE, RUN_NO_VMGENID, RUN_TEMPLATE };

static const struct option longs[] = {
	PLAN_OPTIONS,
	{ "keep", no_argument, NULL, RUN_KEEP },
	{ "give", no_argument, NULL, RUN_GIVE },
	{ "template", no_argument, NULL, RUN_TEMPLATE },
	{ "no-vmgenid", no_argument, NULL, RUN_NO_VMGENID },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct run {
	struct plan plan;
	char *const *command;
	int keeps;
	int gives; /* the command shall own the vas */
	int has_no_genid;
	int is_quiet;
	int report; /* to who waits in the foreground; -1: nobody does */
};

static void tell_regions(const struct run *run, struct vas *vas)
{
	const struct plan *plan = &run->plan;
	const char *name = plan->options.name;

	if (run->is_quiet)
		return;
	note("%s%s%d/%d is the memory of %s", name ? text_shown(name, VAS_NAME_LEN).s : "",
	     name ? " = " : "", getpid(), vas_fd(vas), run->command[0]);
	for (size_t i = 0; i < plan->nr_regions; i++)
		note("  %11s  %8s  %s%s", text_gpa(plan->regions[i].gpa).s,
		     text_size(plan->regions[i].size).s,
		     text_shown(plan->regions[i].name, VAS_REGION_NAME_LEN).s,
		     plan->regions[i].flags & VAS_REGION_READONLY ? " (read-only)" : "");
}

/* The child's fd keeps the memory; nobody owns it until the child does. */
static int run_given(struct run *run, struct vas *vas)
{
	struct held held;
	int code;

	held_init(&held, NULL);
	code = child_prepare(&held.child, vas_fd(vas));
	tell_regions(run, vas);
	vas_unbind(vas);
	if (!code)
		code = start_prepared(&held, run->command);
	if (!code) {
		hold_serve(&held, 1);
		code = held.code;
	}
	return code;
}

static int start(struct run *run, struct held *held)
{
	struct qemu_record fresh = { .memory = run->plan.memory, .genid = "auto" };

	if (run->has_no_genid)
		fresh.genid[0] = '\0';
	tell_regions(run, held->vas);
	if (qemu_is(run->command[0]))
		return start_qemu(held, run->command, &fresh);
	return start_command(held, run->command);
}

/* After the VMM's end, for whoever wants to look at what it left. */
static void keep(struct held *held)
{
	note("the memory stays at %d/%d until a signal (Ctrl-C) comes", getpid(),
	     vas_fd(held->vas));
	hold_serve(held, 1);
}

static int run_held(struct run *run, struct vas *vas)
{
	struct held held;
	int code;

	held_init(&held, vas);
	code = start(run, &held);
	background_report(run->report, code);
	if (!code) {
		hold_serve(&held, 1);
		code = held.code;
		if (run->keeps && held.vas && !held.child.was_told)
			keep(&held);
	}
	held_end(&held);
	return code;
}

static int run_vas(struct run *run)
{
	struct vas *vas;
	int code = EXIT_OK;

	if (qemu_is(run->command[0]))
		code = qemu_read_args(run->command, &run->plan);
	if (!code && qemu_is(run->command[0]) && qemu_is_daemon(run->command)) {
		run->report = background_begin();
		if (run->report < 0)
			return EXIT_OWN;
	}
	if (!code)
		code = plan_create(&run->plan, &vas);
	if (code)
		return code == EXIT_USAGE ? EXIT_USAGE : EXIT_OWN;
	return run->gives ? run_given(run, vas) : run_held(run, vas);
}

static int take_options(struct options *options, struct run *run)
{
	int c;

	while ((c = option_next(options)) >= 0) {
		if (c == RUN_KEEP)
			run->keeps = 1;
		else if (c == RUN_GIVE)
			run->gives = 1;
		else if (c == RUN_TEMPLATE)
			run->plan.options.flags |= VAS_CREATE_RAM_APART;
		else if (c == RUN_NO_VMGENID)
			run->has_no_genid = 1;
		else if (c == 'q')
			run->is_quiet = 1;
		else
			options->status = plan_option(&run->plan, c, optarg);
		if (options->status)
			return OPTION_STOP;
	}
	if (c == OPTION_END && optind == options->argc) {
		options->status = fail_usage("which command is to be run? vas run -- COMMAND...");
		return OPTION_STOP;
	}
	if (c == OPTION_END && run->gives && (run->keeps || qemu_is(options->argv[optind]))) {
		options->status =
			fail_usage("--give is for a VMM that owns its vas, and keeps none: "
				   "not for QEMU, and not with --keep");
		return OPTION_STOP;
	}
	if (c == OPTION_END && run->plan.options.flags & VAS_CREATE_RAM_APART &&
	    !qemu_is(options->argv[optind])) {
		options->status = fail_usage("--template is for QEMU: '%s' would find no RAM by "
					     "the fd that it is given",
					     options->argv[optind]);
		return OPTION_STOP;
	}
	return c;
}

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, "+:" PLAN_SHORTS "qh", longs, 0 };
	struct run run = { .report = -1 };
	int code;

	if (take_options(&options, &run) == OPTION_STOP) {
		code = options.status;
	} else {
		run.command = argv + optind;
		code = run_vas(&run);
	}
	plan_clean(&run.plan);
	return code;
}

const struct verb verb_run = {
	.name = "run",
	.args = "[OPTION...] [--] COMMAND [ARGUMENT...]",
	.summary = "Start a VMM, such as an unmodified QEMU, on a vas",
	.help = PLAN_HELP
	"      --keep           keep the memory after the command's end, until a signal\n"
	"      --give           give the vas up, so that the command can own it (VAS_BIND_ADOPT)\n"
	"      --template       'vas clone --private' makes clones of the guest's memory as it is\n"
	"      --no-vmgenid     add no device that tells a guest that it was restored or cloned\n"
	"  -q, --quiet          say nothing on the way\n"
	"\n"
	"If the command is QEMU (qemu-system-*), memory size and machine type are read from its\n"
	"arguments (-m, -machine) unless they are given here, and what makes the vas its RAM is\n"
	"added. Any other VMM finds the vas in the file descriptor VAS_FD, which is also put in\n"
	"the place of @FD@ in its arguments. Its exit code is passed on.\n",
	.run = run,
};
