/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A process that has a share, and does what it is told with it. */
#ifndef TESTS_LIB_SHARE_PEER_H
#define TESTS_LIB_SHARE_PEER_H

#include <sys/types.h>
#include <vas/share.h>

#define PEER_PAGE 4096ull

enum peer_op {
	PEER_READ,     /* a byte at gpa: it, or -errno */
	PEER_WRITE,    /* val at gpa: 0 or -errno */
	PEER_ENTER,    /* a section, and stay in it */
	PEER_LEAVE,    /* that section */
	PEER_MAP,      /* the page at gpa, for writing, and keep it */
	PEER_UNMAP,    /* that map */
	PEER_REGIONS,  /* how many it sees */
	PEER_GPA,      /* of the region with the id val */
	PEER_REACHES,  /* 1: one of its fds or maps is the file with the device gpa, inode val */
	PEER_WRITABLE, /* 1: one of its fds of the file with the device gpa, inode val can write */
	PEER_TRACK     /* a tracker: 0 or -errno */
};

struct peer {
	pid_t pid;
	int sock;
};

/* Start one, and send it the share. */
struct peer peer_start(struct vas *share);
/* What it answers. */
long peer_do(const struct peer *peer, enum peer_op op, uint64_t gpa, uint64_t val);
/* Ask, and do not wait for the answer; wait for it. */
void peer_begin(const struct peer *peer, enum peer_op op, uint64_t gpa, uint64_t val);
long peer_end(const struct peer *peer);
void peer_stop(struct peer *peer);

#endif
