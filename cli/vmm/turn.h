/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest goes over to another QEMU on the same memory, in the run folder's terms (run_folder.h):
 * at each moment it is in one place, from which it can go on whoever is killed.
 *
 *	beside (turn_over)			one after the other (turn_load)
 *	------------------			-------------------------------
 *	the next one starts			the guest stops; `state`; QEMU quits
 *	the guest stops; its state goes over	the next one starts, and takes `state`
 *	run_folder_turn()			run_folder_turn(); `state` goes
 *	it goes on; the old one quits		it goes on
 *
 * All return 0 or -errno with vas_error() set.
 */
#ifndef CLI_TURN_H
#define CLI_TURN_H

#include "cli/vmm/monitor.h"
#include "qemu/record.h"

struct turn {
	const struct run_folder *folder;
	struct qmp *next;
	uint64_t stopped_ns; /* when the guest stopped, CLOCK_MONOTONIC; 0: it did not run */
	uint64_t stood_ns;   /* then, until it went on */
};

/* CLOCK_MONOTONIC. */
uint64_t turn_now_ns(void);

/*
 * A guest that goes on in another QEMU has most to do as it begins. If that is on this host, what
 * ends here, and gives memory back, would take the CPUs from it: that comes a tenth of a second
 * later.
 */
void turn_let_begin(void);

/*
 * The next QEMU was started as process pid: wait until it can take a guest. -ECHILD: it has ended.
 * turn_end() is due if this succeeds.
 */
int turn_begin(struct turn *turn, const struct run_folder *folder, pid_t pid);
void turn_end(struct turn *turn);

/* The next one, which is not the guest's, ends. vas_error() stays. */
void turn_cancel(struct turn *turn);

/*
 * The guest of `from` goes over to the next QEMU, and goes on there if it runs; `from` ends. After
 * an error it stands in `from`, if turn_cancel() has ended the other.
 */
int turn_over(struct turn *turn, struct qmp *from, int is_running);

/* The guest that `state` has goes on in the next QEMU. After an error it is there still. */
int turn_load(struct turn *turn);

/*
 * For a folder in which no command is at work any more: a next QEMU that listens was started by one
 * that was killed, and ends. *qmp: the monitor of the guest's QEMU; NULL: the guest is in `state`,
 * or there is none.
 */
int turn_settle(const struct run_folder *folder, struct qmp **qmp);

#endif
