/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Sockets that listen at all addresses that a text stands for. */
#ifndef CLI_LISTENER_H
#define CLI_LISTENER_H

#include <sys/stat.h>

#include "cli/endpoint/address.h"

struct listener {
	int fds[ADDRESS_MAX]; /* non-blocking */
	int nr;
	char path[108];	  /* of a Unix socket's file, which goes with the listener; else "" */
	struct stat file; /* that file */
};

/* An exit code. A Unix socket's file that nobody listens at any more is replaced. */
int listener_open(struct listener *listener, const char *text);
void listener_close(struct listener *listener);

#endif
