/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* An fd over a Unix socket, with one byte. */
#ifndef TESTS_MIGRATE_FD_PASSING_H
#define TESTS_MIGRATE_FD_PASSING_H

void fd_send(int sock, int fd);
int fd_recv(int sock); /* the fd, which is the caller's */

#endif
