// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas upgrade: a guest that runs goes on in another QEMU. */
#include <string.h>

#include "cli/ui/verb.h"
#include "cli/vmm/upgrade.h"

static const struct option longs[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int run(int argc, char **argv)
{
	struct options options = { argc, argv, ":h", longs, 0 };
	char *const *command = NULL;

	if (option_next(&options) == OPTION_STOP)
		return options.status;
	/* getopt puts it before what is no option. */
	if (optind + 1 < argc && !strcmp(argv[optind - 1], "--"))
		command = argv + optind + 1;
	if (option_rest(&options, 1, command ? argc : 1, "which guest? vas upgrade NAME") ==
	    OPTION_STOP)
		return options.status;
	return upgrade_guest(argv[optind], command);
}

const struct verb verb_upgrade = {
	.name = "upgrade",
	.args = "NAME [-- QEMU [ARGUMENT...]]",
	.summary = "Let a guest that runs go on in another QEMU, on the memory that it has",
	.help = "Of a guest in a QEMU that 'vas run', 'restore', 'clone' or 'receive' started. The new QEMU is\n"
		"started as the one before, or as the words behind -- say, by whoever holds the guest, and takes\n"
		"the state of its devices: memory stays where it is. It is started beside the old one, or, where\n"
		"the arguments name what two processes cannot have (a port, a tap, a socket, a console's file),\n"
		"after its end. If it does not take the guest, that goes on as it was.\n",
	.run = run,
};
