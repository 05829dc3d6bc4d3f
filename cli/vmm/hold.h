/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Owning vas on the command line, and what an owner has to do as long as it does: answer trackers
 * of other processes, lend the vas to commands that work on it (loan.h), and look after the command
 * that runs on it.
 */
#ifndef CLI_HOLD_H
#define CLI_HOLD_H

#include <vas/vas.h>

#include "cli/vmm/child.h"
#include "cli/vmm/run_folder.h"

struct qmp;

struct held {
	struct vas *vas;
	int base; /* what QEMU has a private copy of (template.h); -1: its RAM is the vas */
	struct run_folder folder;
	struct child child; /* pid 0: nothing runs on it */
	struct child other; /* a QEMU beside it: one of both is to end soon; pid 0: none */
	const char *name;   /* of what runs, for messages */
	char *own_name;	    /* NULL, or that, malloced */
	int code;	    /* that it ended with */
	int listener;	    /* -1: it is lent to nobody */
	int loan;	    /* the socket of whom it is lent to; -1: nobody */
	int was_running;    /* the guest, before */
	struct qmp *qmp;    /* of a guest that is being started; NULL */
	int state;	    /* socket that takes its state; -1 */
	int successor;	    /* a process that goes on in the memory (pidfd); -1 */
	pid_t successor_pid;
	int goes_on;	/* in the QEMU that is started: the guest that was in another one here */
	int has_next;	/* a command had a QEMU started, and is at work on it */
	int is_over;	/* nothing more to hold it for */
	int is_managed; /* another program has started what runs, and may start it again */
	int attaches;	/* what is started is to end with this process, until start_detach() */
	int is_kept;	/* others have it, or another holder is to adopt it: its end is not ours */
};

/*
 * Make room in the run folder. The vas is the holder's to destroy from now on. NULL: there is but a
 * child to wait for, whose vas is another's.
 */
void held_init(struct held *held, struct vas *vas);

/*
 * The same in the run folder that is there already, of a vas whose holder has ended, and which this
 * process owns: 0 or -errno.
 */
int held_take(struct held *held, struct vas *vas, const struct run_folder *folder);

/* Destroy the vas, unless somebody else owns it, or is to. */
void held_end(struct held *held);

/*
 * What ran in it has ended, and left the memory to others perhaps, such as a QEMU that has put
 * itself into the background, or took the guest over from it: sets `successor`; or is_over, unless
 * the guest is in the run folder, for a QEMU that is still to come.
 */
void held_follow(struct held *held);

/*
 * Do what an owner has to. With children: until all have ended, and all who went on in their
 * memory; signals are passed on to them. Without: until a signal comes, or the vas were moved.
 */
void hold_serve(struct held *held, int nr);

/* Say why a snapshot's file is no vas to hold. An exit code. */
int hold_fail(int err, const char *file);

/* Print PID/FD of the vas, which is here to stay for a while. An exit code. */
int hold_tell(struct vas *vas, int as_json);

/* Print PID/FD of the vas, keep it until a signal comes, and destroy it. An exit code. */
int hold_until_signal(struct vas *vas, int as_json);

#endif
