// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas pause, vas resume: a guest's vCPUs stand still, and go on. */
#include "cli/ui/verb.h"
#include "cli/vmm/guest.h"

static const struct option longs[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int act(int argc, char **argv, const char *missing, int (*command)(struct qmp *qmp))
{
	struct options options = { argc, argv, ":h", longs, 0 };
	struct qmp *qmp;
	int code, err;

	if (option_next(&options) == OPTION_STOP ||
	    option_rest(&options, 1, 1, missing) == OPTION_STOP)
		return options.status;
	code = guest_open_monitor(argv[optind], &qmp);
	if (code)
		return code;
	err = command(qmp);
	if (err)
		code = fail_vas(err, argv[optind]);
	qmp_close(qmp);
	return code;
}

static int pause_guest(int argc, char **argv)
{
	return act(argc, argv, "which guest? vas pause NAME", qemu_stop);
}

static int resume_guest(int argc, char **argv)
{
	return act(argc, argv, "which guest? vas resume NAME", qemu_cont);
}

const struct verb verb_pause = {
	.name = "pause",
	.args = "NAME",
	.summary = "Make a guest's vCPUs stand still",
	.help = "Of a guest in a QEMU that 'vas run', 'restore', 'clone' or 'receive' started. Its disks are\n"
		"flushed. One that stands already stays so.\n",
	.run = pause_guest,
};

const struct verb verb_resume = {
	.name = "resume",
	.args = "NAME",
	.summary = "Let a guest go on that was paused",
	.help = "Whoever paused it: 'vas pause', a monitor of its own, or a command that was killed.\n",
	.run = resume_guest,
};
