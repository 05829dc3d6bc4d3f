/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A vas that a command works on as its owner, and the guest that runs in it, if any. */
#ifndef CLI_GUEST_H
#define CLI_GUEST_H

#include <pthread.h>
#include <vas/vas.h>

#include "cli/target/writers.h"
#include "cli/vmm/loan.h"
#include "qemu/record.h"

struct guest {
	const char *name; /* as the user gave it */
	struct vas *vas;
	struct run_folder folder;
	int loan;	 /* socket to who holds the vas; -1: nobody did */
	struct qmp *qmp; /* NULL: no QEMU that 'vas run' or the like started */
	int is_saved;	 /* between two QEMUs: it is in the folder's `state` (run_folder.h) */
	int process;	 /* QEMU's (pidfd), when it is about to end; -1 */
	int was_running;
	int is_stopped;		/* by guest_stop() */
	struct writers writers; /* as guest_check_writers() saw them */
};

/*
 * Own the vas so named: one that has no living owner, or one whose holder lends it. What a command
 * that was killed has left half done is undone. A guest that is between two QEMUs is refused, but
 * by guest_open_any(). An exit code; guest_close() is due if it is EXIT_OK.
 */
int guest_open(const char *name, struct guest *guest);
int guest_open_any(const char *name, struct guest *guest);

/* Say that there is no QEMU. An exit code. */
int guest_fail_without(const char *name);

/* The guest goes on if guest_stop() stopped it, and the vas is its holder's again. */
void guest_close(struct guest *guest);

/* The guest and its memory have moved elsewhere: the end of both here, and of their holder. */
void guest_end(struct guest *guest);

/*
 * Own a vas that has no living owner, with the files of its own that the binder has found (of RAM
 * that is apart, for instance): 0 or -errno, -EBUSY if it has one.
 */
int guest_adopt(const struct vas *binder, struct vas **vas);

/* The run folder of a vas, whoever made it: 0 or -errno. Nothing is to be released. */
int guest_find_folder(struct vas *vas, struct run_folder *folder);

/*
 * Just the monitor of a vas's QEMU, which there must be. An exit code; -1: there is more to do than
 * that, as a command was killed, or a guest is between two QEMUs; with no message.
 */
int guest_open_monitor(const char *name, struct qmp **qmp);

/*
 * Refuse if anybody might write who can neither be stopped nor is known to the dirty log; if that
 * is forced, say so and go on. From here on, guest_has_written() tells if somebody did. An exit
 * code.
 */
enum guest_force { GUEST_CANNOT_FORCE, GUEST_UNLESS_FORCED, GUEST_FORCED };
int guest_check_writers(struct guest *guest, enum guest_force force);

/*
 * -EBUSY, with vas_error() set, if somebody wrote, or may have, since guest_check_writers(). Or in
 * two steps, between which something else is done: a thread looks, and end is due after begin.
 */
int guest_has_written(struct guest *guest);

struct guest_look {
	struct guest *guest;
	pthread_t thread;
	int has_thread;
	int err;
	char error[512];
};
void guest_look_begin(struct guest_look *look, struct guest *guest);
int guest_look_end(struct guest_look *look);

/* Its vCPUs stand from here on. 0 or -errno; nothing to do is 0. */
int guest_stop(struct guest *guest);
int guest_go_on(struct guest *guest);

/* From here on it may go on elsewhere: whoever is killed now, it does not go on here by itself. */
int guest_may_move(struct guest *guest);

/*
 * It does go on elsewhere. end_here: its QEMU can run it no more, and is about to give its memory
 * back. take: that has been given back, and its holder's too; the vas stays ours. 0 or -errno; then
 * either may still have it mapped.
 */
void guest_end_here(struct guest *guest);
int guest_take(struct guest *guest);

/*
 * Bytes of RAM that its QEMU was started with, and whether all of it is one block, which has our
 * name, as no argument names another one. 0 or -errno.
 */
int guest_memory(struct guest *guest, uint64_t *memory, int *is_ours);

/* What its QEMU is like, malloced: qemu_record_pack(), without a state; with_ram: of that one. */
int guest_describe(struct guest *guest, int with_ram, void **record, size_t *size);

/* All that QEMU needs to go on elsewhere, malloced: qemu_record_pack(). The guest stands. */
int guest_save(struct guest *guest, void **record, size_t *size);

/*
 * The same with a state that was had in another way: all but that, and with_ram, which the caller
 * sets. The guest may still run. record->command is the caller's to free, in any case.
 */
int guest_record(struct guest *guest, struct qemu_record *record);

#endif
