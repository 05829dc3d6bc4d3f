/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Where a stream goes to or comes from: an address (cli/endpoint/address.h), fd:N (a socket or pipe
 * that the command inherits), or a file's PATH ("-" is stdin or stdout), in which a slash is before
 * the first colon.
 */
#ifndef CLI_ENDPOINT_H
#define CLI_ENDPOINT_H

#include "cli/ui/out_file.h"

#define ENDPOINT_MAX 8

struct endpoint {
	int fds[ENDPOINT_MAX]; /* one a channel */
	int nr;
	int is_one_way;	      /* a file or pipe: nobody answers */
	struct out_file file; /* that is written to, if any is */
};

/* Connect nr channels, or open the file for writing. An exit code. */
int endpoint_connect(struct endpoint *endpoint, const char *text, int nr);

/* All is sent: a file gets its name. Without, nothing is left of it. An exit code. */
int endpoint_finish(struct endpoint *endpoint);

/*
 * Wait for the nr channels of a stream to come, for wait_s seconds (0: for ever), or open the file
 * for reading. An exit code. Signals that end the command do so after what it has left in the file
 * system is gone.
 */
int endpoint_accept(struct endpoint *endpoint, const char *text, int nr, int wait_s);

void endpoint_close(struct endpoint *endpoint);

#endif
