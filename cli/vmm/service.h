/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The service manager that has started this process, systemd or one that does as it does: it is
 * told of the state, and keeps fds for whoever is started after this (sd_notify(3),
 * sd_listen_fds(3)).
 */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include <stddef.h>

/* 1: there is one to talk to. */
int service_is_there(void);

/* What it has kept under that name: an fd, which is close-on-exec from now on; -ENOENT: nothing. */
int service_kept_fd(const char *name);

/*
 * Tell it "KEY=VALUE" lines, and give it a duplicate of fd (-1: none). 0 or -errno; 0 if there is
 * none.
 */
int service_tell(const char *lines, int fd);

#endif
