/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The memory that private clones of a guest begin with. It is in a file that nobody can write any
 * more: each QEMU maps it for itself (share=off), and has a page of its own where its guest has
 * written.
 *
 *	template (sealed memfd)		one clone's QEMU	a page takes memory
 *	| RAM as it was saved	|<-----	private map		once, for all who only read it,
 *							and once for each that wrote it
 *
 * It is closed, and then sealed. Closed (F_SEAL_FUTURE_WRITE), nobody can write to it or punch a
 * hole into it but by a map that is there already: that takes no time, and says at once, and for
 * good, that the guest is its clones'. Sealed (F_SEAL_WRITE), there is no such map either: for that
 * its pages are looked at, one by one.
 *
 * A clone has a vas, by which it is found: with the layout, and without the bytes, which are its
 * QEMU's alone.
 */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include "cli/target/regions.h"
#include "cli/vmm/run_folder.h"

struct template
{
	int fd; /* of the RAM, as QEMU has it; -1: there is none */
	struct vas_info info;
	struct regions regions;
	char *hva; /* all of fd, for regions that need an address */
};

/*
 * All of a snapshot, closed: 0 or -errno, with vas_error() set. flags: 0 or VAS_RESTORE_ANY_FOLDER.
 * begun: called when the memory is there, and its bytes are still to come; not 0 ends this.
 */
int template_make(struct template *template, const char *file, uint32_t flags,
		  int (*begun)(void *arg), void *arg);

/* What a vas has whose RAM is apart, and which is to be closed before a clone runs. */
int template_of(struct template *template, struct vas *vas);
int template_map(struct template *template); /* sets hva: 0 or -errno */
void template_clean(struct template *template);

/*
 * A sealed template of this process serves other commands, until this process ends: so a snapshot
 * that is cloned again is there already. stamp: of vas_snapshot_stamp(), by which it is found.
 */
void template_offer(const struct template *template, const struct run_folder *folder,
		    const uint8_t stamp[16]);
/* 1 if there is one, by the same user: as template_make() gives it, and sealed; else 0. */
int template_find(struct template *template, const uint8_t stamp[16]);

/* 0 or -errno, with vas_error() set. -EBUSY: somebody has it mapped for writing. */
int template_close(int fd);
int template_seal(int fd);
int template_is_closed(int fd);

/* The file that a process has under that number: an fd, or -1. */
int template_open(pid_t pid, int fd);

/*
 * A clone's vas, which ends before the template is cleaned: 0 or -errno. It has regions when the
 * template does, after template_make() or template_of(): from lay_out on.
 */
int template_clone(const struct template *template, struct vas **vas);
int template_lay_out(const struct template *template, struct vas *vas);

#endif
