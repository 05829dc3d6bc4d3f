/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Bytes, and fds beside them, on a Unix stream socket. Nothing here waits: where something is
 * waited for, that is the caller's, and so is the deadline.
 */
#ifndef VAS_LIB_FD_STREAM_H
#define VAS_LIB_FD_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Some of len bytes; 0: the peer has closed the socket. The fds that come with them are stored
 * behind the *nr_fds that there are, and are the caller's, also after an error. -EMFILE: they are
 * more than max_fds, and the others are closed; -EAGAIN: nothing has come; or another -errno.
 */
ssize_t vas_fd_stream_receive(int sock, void *to, size_t len, int *fds, uint32_t *nr_fds,
			      uint32_t max_fds);

/* Send some of len bytes, and with the first of them nr_fds fds, VAS_FD_STREAM_MOST at most. */
#define VAS_FD_STREAM_MOST 8u
ssize_t vas_fd_stream_send(int sock, const void *from, size_t len, const int *fds, uint32_t nr_fds);

#endif
