// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/base/fd_stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/foreign.h"

/* Twice as many as anybody is to send: more are cut off by the kernel, which says so. */
union control {
	char space[CMSG_SPACE(2 * VAS_FD_STREAM_MOST * sizeof(int))];
	struct cmsghdr align;
};

struct fd_room {
	int *fds;
	uint32_t *nr;
	uint32_t max;
};

/* All that came are kept, or closed. */
static int keep_fds(struct msghdr *header, const struct fd_room *room)
{
	int err = header->msg_flags & MSG_CTRUNC ? -EMFILE : 0;
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
		size_t i, nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < nr; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if (*room->nr < room->max) {
				room->fds[(*room->nr)++] = fd;
				continue;
			}
			vas_foreign_discard(&fd, 1);
			err = -EMFILE;
		}
	}
	return err;
}

ssize_t vas_fd_stream_receive(int sock, void *to, size_t len, int *fds, uint32_t *nr_fds,
			      uint32_t max_fds)
{
	const struct fd_room room = { fds, nr_fds, max_fds };
	union control control;
	struct iovec iov = { to, len };
	struct msghdr header = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t nr = recvmsg(sock, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int err;

	if (nr < 0)
		return -errno;
	err = keep_fds(&header, &room);
	return err ? err : nr;
}

ssize_t vas_fd_stream_send(int sock, const void *from, size_t len, const int *fds, uint32_t nr_fds)
{
	union control control = { 0 };
	struct iovec iov = { (void *)from, len };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t nr;

	if (nr_fds) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nr_fds * sizeof(int));
	}
	nr = sendmsg(sock, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	return nr < 0 ? -errno : nr;
}
