/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who connects to a receiver: the channels of a stream, in any order, and strangers (a port scan, a
 * browser), who are sent away and end nothing.
 */
#ifndef CLI_CALLERS_H
#define CLI_CALLERS_H

#include "cli/endpoint/listener.h"

/*
 * Wait until all nr channels of one stream are there: into fds, by channel. wait_s: for so long; 0:
 * for ever. An exit code; EXIT_REFUSED without a message: a signal has come, which is blocked now.
 */
int callers_collect(const struct listener *listener, int *fds, int nr, int wait_s);

#endif
