/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Processes that may write to a vas's RAM and take no part in what stops writers and records their
 * writes: unaccounted writers. An unmodified QEMU and a vhost-user back end have it mapped; a dd
 * has an fd, and needs no map.
 *
 * Whoever bound by libvas has the control area mapped for writing too, and is none of them.
 */
#ifndef CLI_WRITERS_H
#define CLI_WRITERS_H

#include <stddef.h>
#include <stdint.h>
#include <vas/vas.h>

#include "cli/target/process.h"

struct writer {
	pid_t pid;
	char comm[PROCESS_COMM_LEN];
	int has_map; /* else it has an fd only, and writes by system calls */
	/* Of one that has an fd only: */
	int is_running;
	uint64_t switches; /* how often its threads went to sleep or were put off, in all */
};

struct writers {
	struct writer *at;
	size_t nr;
	size_t nr_maps; /* how many of them have a map */
};

/*
 * All but this process and `except` (0: none); the caller frees writers->at. Processes of other
 * users are seen by root only. 0, -ETIMEDOUT if it takes seconds, or -errno.
 */
int writers_find(struct vas *vas, pid_t except, struct writers *writers);

/*
 * One of those who had an fd only, or have by now, and ran in between: it may have written. NULL:
 * all slept all the time, and nothing was written by an fd.
 */
const struct writer *writers_ran(const struct writers *before, const struct writers *after);

#endif
