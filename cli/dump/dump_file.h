/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Where a dump goes: a file that appears under its name when it is whole, or what cannot be so, a
 * pipe, a device or the stdout that the shell made. All calls return an exit code, after a message
 * if it is not EXIT_OK.
 */
#ifndef CLI_DUMP_FILE_H
#define CLI_DUMP_FILE_H

#include "cli/ui/out_file.h"

struct dump_file {
	struct out_file out;
	int fd;
	int is_stream;	  /* no holes can be left, zeros must be written */
	const char *path; /* for messages */
	uint64_t at;	  /* of a stream: what was written so far */
};

/* path may be NULL: stdout. dump_file_clean() is due in all cases. */
int dump_file_open(struct dump_file *file, const char *path);

/* Bytes at an offset, at or behind the end of what was put before. What is left out reads as 0. */
int dump_file_put(struct dump_file *file, uint64_t offset, const void *bytes, size_t len);

/* All was put: it is `size` bytes long, and gets its name. */
int dump_file_finish(struct dump_file *file, uint64_t size);

/* Without dump_file_finish(), nothing is left of it, if it is a file of our own. */
void dump_file_clean(struct dump_file *file);

#endif
