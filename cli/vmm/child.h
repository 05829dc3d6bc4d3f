/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The command that is started on a vas, and waiting for its end or for a signal. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdint.h>
#include <sys/types.h>
#include <vas/format.h>

#define CHILD_MAX_FDS (4 + (int)VAS_MAX_BACKINGS)

struct child {
	int fd;			/* the vas, or its RAM, as the child inherits it */
	int fds[CHILD_MAX_FDS]; /* all that it inherits, that one first */
	int nr_fds;
	pid_t pid;
	int was_told; /* a signal came that was meant to end us both */
	int is_attached;
	int leash[2]; /* of one that is tied: its end, which it has too, and ours */
};

/*
 * Catch signals from now on, and open anew what the child is to inherit: fd. It has an open file
 * description of its own: the owner's lock must not live on in the child. An exit code.
 */
int child_prepare(struct child *child, int fd);

/* The child is to inherit this too, opened anew, and need not know of it: 0 or -errno. */
int child_keep(struct child *child, int fd);

/* The child is to inherit a duplicate of fd: its number, or -errno. */
int child_inherit(struct child *child, int fd);

/*
 * The child is to end with this process, however that ends (SIGKILL), from its start until it is
 * untied: 0 or -errno.
 */
int child_attach(struct child *child);
void child_detach(struct child *child);

/* The child has it all, or is not to be. */
void child_close(struct child *child);

/* A copy of argv in which every "@FD@", and each argument that is just "{}", is the fd's number. */
char **child_argv(const struct child *child, char *const *argv);
void child_argv_free(char **argv);

/*
 * Start it, with VAS_FD=fd in its environment. What it inherits is closed here, on an error too: so
 * its end frees the memory. An exit code: EXIT_CANNOT_RUN, EXIT_NO_COMMAND.
 */
int child_start(struct child *child, char **argv);

/* 0 while it lives, else 1 and its exit code: 128 + the signal that ended it, after a message. */
int child_has_ended(struct child *child, const char *name, int *code);

/* From now on those signals stay pending until they are waited for; 1 if one is. */
void block_signals(void);
int has_signal(void);
int wait_or_signal(uint64_t ns); /* likewise, after that time at most */
int signals_fd(void);		 /* readable when one has; -1: not to be had */

/* The same with SIGCHLD, and all that is passed on to children, for struct signalfd_siginfo. */
void block_parent_signals(void);
int parent_signals_fd(void);

#endif
