/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Starting a command on a vas that is held: a QEMU, as new or with a state, or any other. */
#ifndef CLI_START_H
#define CLI_START_H

#include "cli/vmm/hold.h"
#include "qemu/record.h"

/* Any command, which finds the fd in @FD@ and VAS_FD. An exit code. */
int start_command(struct held *held, char *const *command);
int start_prepared(struct held *held, char *const *command); /* after child_prepare() */

/*
 * A QEMU that finds its RAM there, with a monitor of our own if the vas has a run folder. how: the
 * size of RAM; the exact machine type if the command's own will not do; the guest's generation; and
 * a state that is still to be loaded, if there is one. A QEMU that puts itself into the background
 * is waited for until it has. An exit code.
 */
int start_qemu(struct held *held, char *const *command, const struct qemu_record *how);

/*
 * A QEMU that goes on where the record says: it is started, takes the state, and goes on. command:
 * what to start, or NULL: what is recorded. Each step waits for the one before, and the guest
 * stands still until the last. Exit codes; none runs after an error of the first two.
 */
int start_recorded(struct held *held, const struct qemu_record *record, char *const *command);
int start_await(struct held *held); /* until it could take the state at once */
int start_load(struct held *held, const struct qemu_record *record);
int start_go_on(struct held *held);

/*
 * The next QEMU (run_folder.h), beside the one that runs, if one does: as the record says, to take
 * a guest. Until it is the guest's, `other` is who has it. start_beside_asked(): as the file
 * "start" of the folder has it. 0 or -errno, with vas_error() set.
 */
int start_beside(struct held *held, const struct qemu_record *record);
int start_beside_asked(struct held *held);

/* The guest that is in the folder, in `state`, goes on as it was started last; with a message. */
void start_from_state(struct held *held);

/* Whatever runs in it: end it, now. */
void start_kill(struct held *held);

/*
 * This process goes on as another one in the background, with a session of its own, from where it
 * reports; the one in the foreground ends then, with the exit code that is reported. The fd to
 * report by, or -1 with a message.
 */
int background_begin(void);
void background_report(int fd, int code);

#endif
