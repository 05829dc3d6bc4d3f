/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Unix sockets by their path: an fd, or -errno. */
#ifndef TINYVMM_SOCKET_H
#define TINYVMM_SOCKET_H

int socket_listen(const char *path); /* what is there goes away first */
int socket_connect(const char *path);

#endif
