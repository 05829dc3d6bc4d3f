/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Fds that another process chose. A file system in user space answers when it likes, fstat() and
 * even close() of a file in it included; F_GET_SEALS asks nobody, and only memfds and files in
 * tmpfs and hugetlbfs have an answer to it. So that comes first.
 */
#ifndef VAS_LIB_FOREIGN_H
#define VAS_LIB_FOREIGN_H

#include <stdint.h>

/* -EPERM: the file may never answer, and VAS_BIND_PLAIN_FILES is not among bind_flags. */
int vas_foreign_check(int fd, uint32_t bind_flags);

/* Close fds (but for -1), without waiting for those that may take their time: a thread does. */
void vas_foreign_discard(const int *fds, uint32_t nr);

/* A peer can send anything: reading or writing another kind of file could block or do harm. */
int vas_fd_is_eventfd(int fd);

#endif
