/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The command that is started on a vas, and waiting for its end or for a signal. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <sys/types.h>
#include <vas/vas.h>

struct child {
	int fd; /* the vas, as the child inherits it */
	pid_t pid;
	sigset_t mask; /* of signals, as it was before */
	int was_told;  /* a signal came that was meant to end us both */
};

/*
 * Catch signals from now on, and open the fd that the child is to inherit. It has an open file
 * description of its own: the owner's lock must not live on in the child. An exit code.
 */
int child_prepare(struct child *child, struct vas *vas);

/* A copy of argv in which every "@FD@", and each argument that is just "{}", is the fd's number. */
char **child_argv(const struct child *child, char *const *argv);
void child_argv_free(char **argv);

/*
 * Start it, with VAS_FD=fd in its environment; pass signals on to it; wait for its end. Its exit
 * code, or 128 + the signal that ended it; EXIT_CANNOT_RUN, EXIT_NO_COMMAND.
 */
int child_run(struct child *child, char **argv);

/* From now on those signals stay pending until they are waited for; 1 if one is. */
void block_signals(void);
int has_signal(void);
int signals_fd(void); /* readable when one has; -1: not to be had */

/* Until SIGINT, SIGTERM, SIGHUP or SIGQUIT comes. */
void wait_for_signal(void);

#endif
