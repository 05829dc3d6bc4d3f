/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The process that holds a vas lends the ownership to a command that works on it, so that nobody
 * has to end it for that. Over the socket "owner" of the vas's run folder:
 *
 *	command				holder
 *	connects --------------------->	its guest runs, or stands?
 *		<-------------- struct loan_answer
 *		<-------------- vas_handover_give()
 *	owns the vas, works
 *	LOAN_START ------------------->	starts the QEMU that the folder's file "start" records
 *		<-------------- struct loan_answer
 *	unbinds
 *	a byte, or just its end ------>	adopts the vas
 *
 * Without that byte the command was killed: what it did to a guest's vCPUs is undone, and a QEMU
 * that it had started is ended, or is the guest's by then (run_folder.h).
 */
#ifndef CLI_LOAN_H
#define CLI_LOAN_H

#include <stdint.h>
#include <vas/vas.h>

#include "cli/vmm/run_folder.h"
#include "qemu/qmp.h"

struct loan_answer {
	int32_t err;
	int32_t pid;	 /* of what was started */
	char words[248]; /* if err: why not, ends with NUL */
};

enum loan_end {
	LOAN_KILLED = 0,
	LOAN_DONE = 'd',  /* the vas is the holder's again, and its guest as it should be */
	LOAN_MOVED = 'm', /* the vas is elsewhere now: there is nothing more to hold */
	/*
	 * No end yet: from here on the guest may go on elsewhere. If the command is killed, it
	 * stands still here, until a person who knows says 'vas resume'.
	 */
	LOAN_MAY_MOVE = 'n',
	/*
	 * The vas is the command's for good: the holder unbinds, then closes the socket. Also if
	 * the command was killed after it had closed the RAM of a template (template.h): then the
	 * guest's clones have it, and its QEMU ends here.
	 */
	LOAN_KEPT = 'k',
	/* Nor is this: the holder is to start a QEMU as its child, beside the one that it has. */
	LOAN_START = 's'
};

/*
 * For the command: the vas that somebody holds, as its owner, and the socket by which it goes back:
 * an exit code, after a message if it is not EXIT_OK. -1: nobody lends it, and nothing was said.
 */
int loan_take(const struct run_folder *folder, const char *name, struct vas **vas, int *sock);

/* The vas is unbound. */
void loan_return(int sock, enum loan_end end);

/* 0, or -errno: the holder could not be told. -1 for a socket is fine: there is no holder. */
int loan_may_move(int sock);

/* The vas stays ours, and its holder has it mapped no more: 0 or -errno. The socket is closed. */
int loan_keep(int sock);

/*
 * The holder starts what the file "start" says: 0 with its pid, or -errno. -ENOTCONN: there is no
 * holder any more.
 */
int loan_start(int sock, pid_t *pid);

/*
 * For the holder: whoever waits at the listener gets the vas, which is a binder's then. The socket,
 * or -1. *was_running: what the guest did, if there is one that can be asked.
 */
int loan_give(int listener, const struct run_folder *folder, struct vas *vas, int *was_running);

/*
 * The socket is readable. LOAN_MAY_MOVE; LOAN_KEPT and LOAN_START, where what is due is the
 * caller's; or the loan's end: the socket is closed, and the vas is owned again, or nobody's
 * business here any more (*err: it belongs to another process). After LOAN_KILLED, loan_undo() is
 * due.
 */
enum loan_end loan_recv(int sock, const struct run_folder *folder, struct vas *vas,
			int *was_running, int *err);

/* The answer to LOAN_START: -errno with vas_error() set, or 0. */
void loan_started(int sock, int err, pid_t pid);

/*
 * The command was killed: the guest does again what it did before. qmp: its monitor, which is
 * closed; NULL: there is none.
 */
void loan_undo(struct qmp *qmp, int was_running);

#endif
