/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Reading guest memory: as it changes, or while nobody writes to it. */
#ifndef CLI_READING_H
#define CLI_READING_H

#include "cli/vmm/guest.h"

#define FROZEN_HELP "      --frozen         while the guest and all who write stand still\n"

struct reading {
	struct vas *vas;
	struct guest guest; /* of a frozen one */
	int is_frozen;
};

/*
 * Bind to the vas so named. frozen: from here to reading_end() its guest's vCPUs stand, and binders
 * do not write; if this process is killed, whoever holds the vas lets them go on. Refused if there
 * is somebody who cannot be stopped. An exit code.
 */
int reading_begin(struct reading *reading, const char *name, int frozen);

/* All go on. `code`, or EXIT_REFUSED with a message: somebody may have written all the same. */
int reading_end(struct reading *reading, int code);

#endif
