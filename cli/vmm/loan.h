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
 *	unbinds
 *	a byte, or just its end ------>	adopts the vas
 *
 * Without that byte the command was killed: what it did to a guest's vCPUs is undone.
 */
#ifndef CLI_LOAN_H
#define CLI_LOAN_H

#include <stdint.h>
#include <vas/vas.h>

#include "cli/vmm/run_folder.h"

struct loan_answer {
	int32_t err;
	char words[252]; /* if err: why not, ends with NUL */
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
	LOAN_KEPT = 'k'
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
 * For the holder: whoever waits at the listener gets the vas, which is a binder's then. The socket,
 * or -1. *was_running: what the guest did, if there is one that can be asked.
 */
int loan_give(int listener, const struct run_folder *folder, struct vas *vas, int *was_running);

/*
 * The socket is readable. LOAN_MAY_MOVE; LOAN_KEPT, where what is due is the caller's; or the
 * loan's end: the socket is closed, the vas is owned again, or nobody's business here any more
 * (*err: it belongs to another process), and what the guest did is made so again if the command was
 * killed.
 */
enum loan_end loan_recv(int sock, const struct run_folder *folder, struct vas *vas,
			int *was_running, int *err);

#endif
