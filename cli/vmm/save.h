/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Saving a vas to a file, with its guest if one runs in it. */
#ifndef CLI_SAVE_H
#define CLI_SAVE_H

#include "qemu/qmp.h"

struct saving {
	const char *name;   /* of the vas */
	const char *file;   /* NULL: none, its clones go on at once */
	const char *folder; /* not NULL: in it, a file without a name instead, to be had ... */
	int *fd;	    /* ... by this */
	const char *parent; /* as the file is to name it; NULL: none */
	const char *disks;  /* a shell's command that copies the guest's disks; NULL: none */
	int force;	    /* save although somebody may write meanwhile */
	int stands;	    /* copy memory while the guest stands, not while it runs */
};

/* --disks: copy them by that command, while nobody writes to them. 0 or -errno. */
int save_disks(const struct saving *saving);

/* -EBUSY, and words on --disks, if it has a disk that it may write to, and there is none. */
int save_check_disks(const struct saving *saving, struct qmp *qmp);

/*
 * The guest stands from its last instruction in the file on until its memory is written, and then
 * goes on if it ran before. An exit code; the file is whole, or not there.
 */
int save_to_file(const struct saving *saving);

#endif
