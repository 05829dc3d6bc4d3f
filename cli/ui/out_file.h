/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A file that a command writes. A regular one appears under its name when it is whole, and what was
 * there stays until then, whoever ends the command. A pipe or a device is written as it is, and so
 * is a file that has no name. Calls return an exit code, after a message if it is not EXIT_OK.
 */
#ifndef CLI_OUT_FILE_H
#define CLI_OUT_FILE_H

#include "migrate/base/atomic_file.h"

struct out_file {
	int fd;
	struct atomic_file atomic;
	char path[PATH_MAX]; /* of the file itself: a link to it stays one */
};

#define OUT_FILE_NONE                     \
	{                                 \
		.fd = -1, .atomic.fd = -1 \
	}

/*
 * It holds guest memory: mode 0600, or the mode of the file that it replaces. out_file_clean() is
 * due in all cases.
 */
int out_file_open(struct out_file *file, const char *path);

/* All is written: it gets its name, and is there to stay. */
int out_file_finish(struct out_file *file);

/* Without out_file_finish(), nothing is left of it. */
void out_file_clean(struct out_file *file);

#endif
