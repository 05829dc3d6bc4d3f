/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The vas of this host: those that a process, into which the caller may look, has open. */
#ifndef CLI_SCAN_H
#define CLI_SCAN_H

#include <sys/types.h>
#include <vas/vas.h>

/* A process that has the file open, or mapped, and the lowest of its fds that is. */
struct holder {
	int pid;
	int fd; /* -1: it has the file mapped, and no fd */
	char comm[16];
};

struct found {
	dev_t dev;
	ino_t ino;
	struct holder *holders; /* sorted by pid; scan_maps() adds its own behind */
	size_t nr_holders;
	struct vas_info info;
	uint64_t size;	   /* of all regions */
	uint64_t resident; /* bytes of guest RAM in the file that take memory */
};

struct scan {
	struct found *found;
	size_t nr_found;
	size_t nr_denied; /* processes that the caller may not look into */
};

/* 0 or -errno. scan_clean() is due in both cases. What is no vas, or a damaged one, is left out. */
int scan_host(struct scan *scan);
void scan_clean(struct scan *scan);

/* Those too who have what was found mapped, and no fd of it. 0 or -errno: -ETIMEDOUT. */
int scan_maps(struct scan *scan);

/*
 * An fd of a holder's that leads to the vas, opened with `flags` (O_RDONLY, O_RDWR), or -errno.
 * -EMEDIUMTYPE: it is in no file system of memory, and not opened.
 */
int holder_open(const struct holder *holder, int flags);

/* The holder to name the vas by, who has an fd: its owner if that holds it, else the first. */
const struct holder *found_holder(const struct found *found);

#endif
