/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Guests that go on from a snapshot: what it has beside memory, and QEMUs that start with it. */
#ifndef CLI_RESTORED_H
#define CLI_RESTORED_H

#include "cli/vmm/start.h"

/* A guest that runs, and ends where others go on, in the place of a file. Exit codes. */
struct restored_source {
	struct vas *memory; /* with RAM apart */
	/* All QEMUs wait. Stop it, and give its state to all of them: pass() takes any piece. */
	int (*save)(void *arg, int (*pass)(void *to, const void *part, size_t size), void *to);
	/* All have loaded that. From here on the guest is theirs, unless this is an error. */
	int (*commit)(void *arg);
	/* They go on: what is left to do. */
	void (*end)(void *arg);
	void *arg;
};

struct restored {
	/* what is wanted */
	const char *file;
	char *const *command; /* what to start; NULL: what was recorded */
	uint32_t flags;	      /* VAS_RESTORE_* */
	int holds_only;	      /* start nothing, whatever the file has */
	int stays_paused;
	const struct restored_source *source; /* NULL: the file */
	int is_private; /* memory is each QEMU's own, and what it has not written shared */
	/* what there is */
	int path; /* the file (O_PATH), which keeps its inode from being used again */
	void *state;
	struct qemu_record record;
	int has_guest;
	int starts; /* a QEMU is to be started */
};

/* FILE [-- COMMAND...], behind the options of a verb that getopt has read. An exit code. */
int restored_take_args(struct restored *restored, int argc, char **argv, const char *missing);

/*
 * What the file has beside memory, and whether it is to be started: a file that others could have
 * written names no command. only_looks: it is not to be. An exit code; restored_close() is due in
 * any case.
 */
int restored_open(struct restored *restored, int only_looks);

/* In the place of restored_open(): a record without a state, malloced, which goes with the rest. */
int restored_take_record(struct restored *restored, void *bytes, size_t size);
void restored_close(struct restored *restored);

/*
 * nr guests of the file: PID/FD of each is printed when it goes on. Until the last has ended; the
 * first exit code of a QEMU's that is not 0.
 */
int restored_run(struct restored *restored, int nr, int as_json);

#endif
