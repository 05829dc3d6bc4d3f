/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Starting a command on a vas that is held: a QEMU, as new or with a state, or any other. */
#ifndef CLI_START_H
#define CLI_START_H

#include "cli/vmm/hold.h"
#include "cli/vmm/qemu.h"
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
 * The first half of that: what QEMU is to inherit, and what its arguments are to have more. Who
 * starts it does the rest. An exit code.
 */
int start_prepare_qemu(struct held *held, char *const *command, const struct qemu_record *how,
		       struct qemu_more *more);

/* The second: from here on it is the guest's QEMU in the run folder, as there is no other. */
void start_turn(struct held *held);

/*
 * A QEMU that goes on where the record says: it is started, takes the state, and goes on, or stands
 * until 'vas resume'. command: what to start, or NULL: what is recorded. Each step waits for the
 * one before; from connect or await on until go_on or stand nobody else has its monitor. Exit
 * codes; none runs after an error of the first five.
 */
int start_recorded(struct held *held, const struct qemu_record *record, char *const *command);
/* Until it listens: a step that may be left out, where await is to take less time. */
int start_connect(struct held *held);
/* Until it could take the state at once: of the record, all but the state counts. Or left out. */
int start_await(struct held *held, const struct qemu_record *record);
int start_write(struct held *held, const struct qemu_record *record, const void *part, size_t size);
int start_loaded(struct held *held, const struct qemu_record *record); /* all has been written */
int start_load(struct held *held, const struct qemu_record *record);   /* these three in one */
int start_go_on(struct held *held);
void start_stand(struct held *held);

/*
 * The next QEMU (run_folder.h), beside the one that runs, if one does: as the record says, to take
 * a guest. Until it is the guest's, `other` is who has it. start_beside_asked(): as the file
 * "start" of the folder has it. 0 or -errno, with vas_error() set.
 */
int start_beside(struct held *held, const struct qemu_record *record);
int start_beside_asked(struct held *held);

/* The guest that is in the folder, in `state`, goes on as it was started last; with a message. */
void start_from_state(struct held *held);

/* What was started by a holder that ties it may outlive the holder from now on. */
void start_detach(struct held *held);

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
