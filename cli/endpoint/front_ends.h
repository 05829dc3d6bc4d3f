/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Where the front ends of a vhost-user device come from: they connect to a Unix socket's file, or
 * this process to theirs, or it has inherited a socket, which listens or is connected. One is
 * served after the other.
 */
#ifndef CLI_FRONT_ENDS_H
#define CLI_FRONT_ENDS_H

#include <stdbool.h>

#include "cli/endpoint/listener.h"

struct front_ends {
	/* Set before. */
	const char *path; /* NULL: fd is used */
	bool connects;	  /* to path, at which a front end listens */
	int fd;

	/* Its own. */
	struct listener listener;
	int listening; /* or -1: there is none to wait at */
	int once;      /* a socket that is connected already, or -1 */
	bool has_tried;
};

/* An exit code. */
int front_ends_open(struct front_ends *ends);

/*
 * The next one's socket, which is the caller's, waited for until stop_fd is readable: -ECANCELED.
 * -ENODATA: there was but one.
 */
int front_ends_next(struct front_ends *ends, int stop_fd);

/* What messages call it. */
const char *front_ends_name(const struct front_ends *ends);
void front_ends_close(struct front_ends *ends);

#endif
