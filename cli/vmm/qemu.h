/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* QEMU's command line: what it says about memory, and what to add so that its RAM is a vas. */
#ifndef CLI_QEMU_H
#define CLI_QEMU_H

#include "cli/vmm/plan.h"

/* True if the command is a QEMU system emulator, by its name. */
int qemu_is(const char *command);

/*
 * Read memory size and machine type from QEMU's arguments into the plan, where it has none of its
 * own, with QEMU's defaults for what nobody says. Arguments that contradict the plan, or put RAM
 * elsewhere, are refused. An exit code.
 */
int qemu_read_args(char *const *argv, struct plan *plan);

/*
 * argv and, behind it, what makes the guest's RAM the file that QEMU inherits: "@FD@" stands for
 * its number, see child_argv(). The strings are borrowed from argv and `more`. NULL: no memory;
 * else free() it.
 */
struct qemu_more {
	char object[128];
	char size[32];
};
char **qemu_argv(char *const *argv, const struct plan *plan, struct qemu_more *more);

#endif
