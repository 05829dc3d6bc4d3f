/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A Unix socket at which programs of the host's connect to a device. */
#ifndef DEVICE_LISTENER_H
#define DEVICE_LISTENER_H

#include <stddef.h>

/*
 * Listen at a path, in the place of what a process that was killed has left there: a socket that
 * does not block, or -errno, with vas_error(). `spare`: how many bytes the path may get longer.
 */
int device_listen(const char *path, size_t spare);

#endif
