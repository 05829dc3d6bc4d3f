// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas pause, vas resume: a guest's vCPUs stand still, and go on. */
#include "cli/ui/verb.h"
#include "cli/vmm/guest.h"
#include "cli/vmm/upgrade.h"

static const struct option longs[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* After a command that was killed: not as quick, and what it left is undone. */
static int pause_slowly(const char *name)
{
	struct guest guest;
	int code = guest_open(name, &guest), err;

	if (code)
		return code;
	err = guest.qmp ? qemu_stop(guest.qmp) : 0;
	code = guest.qmp ? EXIT_OK : guest_fail_without(name);
	if (err)
		code = fail_vas(err, name);
	guest_close(&guest);
	return code;
}

static int act(int argc, char **argv, const char *missing, int (*command)(struct qmp *qmp),
	       int (*slowly)(const char *name))
{
	struct options options = { argc, argv, ":h", longs, 0 };
	struct qmp *qmp;
	int code, err;

	if (option_next(&options) == OPTION_STOP ||
	    option_rest(&options, 1, 1, missing) == OPTION_STOP)
		return options.status;
	code = guest_open_monitor(argv[optind], &qmp);
	if (code)
		return code == -1 ? slowly(argv[optind]) : code;
	err = command(qmp);
	if (err)
		code = fail_vas(err, argv[optind]);
	qmp_close(qmp);
	return code;
}

static int pause_guest(int argc, char **argv)
{
	return act(argc, argv, "which guest? vas pause NAME", qemu_stop, pause_slowly);
}

static int resume_guest(int argc, char **argv)
{
	return act(argc, argv, "which guest? vas resume NAME", qemu_cont, upgrade_resume);
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
