/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Owning a vas on the command line: finding one without an owner, and keeping one. */
#ifndef CLI_HOLD_H
#define CLI_HOLD_H

#include <vas/vas.h>

/* Bind to the vas so named and own it: it must have no living owner. An exit code. */
int hold_adopt(const char *name, struct vas **vas);

/* Say why a snapshot's file is no vas to hold. An exit code. */
int hold_fail(int err, const char *file);

/* Print PID/FD of the vas, which is here to stay for a while. An exit code. */
int hold_tell(struct vas *vas, int as_json);

/*
 * Do what an owner has to, until a signal comes: answer trackers of other processes.
 */
void hold_serve(struct vas *const *vas, int nr);

/* Print PID/FD of the vas, and keep it until a signal comes. An exit code. */
int hold_until_signal(struct vas *vas, int as_json);

#endif
