/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* QEMU's command line: what it says about memory, and what to add so that its RAM is a vas. */
#ifndef CLI_QEMU_H
#define CLI_QEMU_H

#include "cli/vmm/plan.h"
#include "qemu/memory.h"

/* True if the command is a QEMU system emulator, by its name. */
int qemu_is(const char *command);

/* False if it starts no guest, but tells of itself: -version, -device help, -machine none. */
int qemu_has_guest(char *const *argv);

/*
 * Read memory size, machine type and the guest's name from QEMU's arguments into the plan, where it
 * has none of its own, with QEMU's defaults for what nobody says. Arguments that contradict the
 * plan, or put RAM elsewhere, are refused. An exit code.
 */
int qemu_read_args(char *const *argv, struct plan *plan);

/*
 * True if the machine can have a device that tells the guest that it was cloned, or put back to an
 * earlier time, and has none by argv.
 */
int qemu_takes_genid(char *const *argv);

/* Refuse what a private clone of a guest cannot have. An exit code. */
int qemu_check_private(char *const *argv);

/* True if it puts itself into the background: -daemonize. */
int qemu_is_daemon(char *const *argv);

/*
 * argv and, behind it, what makes the guest's RAM the file that QEMU inherits: "@FD@" stands for
 * its number, see child_argv(); and a monitor of our own. A back end for the RAM that argv has is
 * rewritten, and keeps its id. The strings are borrowed from argv and `more`, whose first members
 * say what else is wanted; qemu_more_clean() is due when they are used no more. NULL: no memory;
 * else free() it.
 */
struct qemu_word {
	size_t at;
	char *text;
};

struct qemu_more {
	uint64_t memory;
	int is_private;	     /* what QEMU inherits is a template, which it maps for itself */
	int monitor;	     /* the number of a bound socket that QEMU inherits; -1: none */
	const char *machine; /* the exact type, whatever argv says; NULL: as argv says */
	const char *genid;   /* the guest's generation, a UUID or "auto"; NULL: no device for it */
	int is_incoming;     /* its state comes by the monitor, and not from where argv says */
	int goes_on;	     /* the guest stays itself: files that it writes to are continued */
	struct backends backends; /* of argv, as QEMU inherits them */
	/* behind here: the words that are added */
	char **dimms; /* qemu_more_dimm() */
	size_t nr_dimms;
	char **consoles; /* character devices that the words in `given` name */
	size_t nr_consoles;
	struct qemu_word *given; /* in the place of argv's: back ends in their new places */
	size_t nr_given;
	char object[128];
	char size[32];
	char backend[192];
	char chardev[80];
	char device[80];
};
char **qemu_argv(char *const *argv, struct qemu_more *more);
void qemu_more_clean(struct qemu_more *more);

/* A DIMM more, in the file that QEMU inherits as fd: 0 or -ENOMEM. */
int qemu_more_dimm(struct qemu_more *more, const struct qemu_dimm *dimm, int fd);

#endif
