// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/bus/message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/base/foreign.h"

#define MAGIC	 0x3153554253415656ull /* "VVASBUS1" */
#define ROOM_FDS 253		       /* the kernel's SCM_MAX_FD: none is lost unseen */

static int error_of_socket(void)
{
	if (errno == EWOULDBLOCK || errno == EINTR)
		return -EAGAIN;
	return errno == EPIPE || errno == ENOTCONN ? -ECONNRESET : -errno;
}

int bus_send(int sock, enum bus_message_type type, struct bus_message *message, const int *fds,
	     uint32_t nr_fds)
{
	union {
		char space[CMSG_SPACE(BUS_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { message, sizeof(*message) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	message->magic = MAGIC;
	message->type = type;
	if (nr_fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, nr_fds * sizeof(int));
	}
	sent = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return error_of_socket();
	return sent == sizeof(*message) ? 0 : -EIO;
}

/* The kernel counts what the peer has not received yet. */
static bool has_room(int sock)
{
	int all = 0, used = 0;
	socklen_t size = sizeof(all);

	return !getsockopt(sock, SOL_SOCKET, SO_SNDBUF, &all, &size) &&
	       !ioctl(sock, SIOCOUTQ, &used) && used <= all / 2;
}

int bus_send_if_room(int sock, enum bus_message_type type, struct bus_message *message)
{
	return has_room(sock) ? bus_send(sock, type, message, NULL, 0) : -EAGAIN;
}

/* All fds that have come: how many. */
static uint32_t take_fds(struct msghdr *msg, int fds[ROOM_FDS])
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	size_t nr;

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return 0;
	nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (nr > ROOM_FDS)
		nr = ROOM_FDS;
	memcpy(fds, CMSG_DATA(cmsg), nr * sizeof(int));
	return (uint32_t)nr;
}

static bool is_message(const struct msghdr *msg, ssize_t size, const struct bus_message *message,
		       const int *fds, uint32_t nr_fds)
{
	uint32_t i;

	if (size != sizeof(*message) || msg->msg_flags & (MSG_TRUNC | MSG_CTRUNC) ||
	    message->magic != MAGIC || nr_fds > BUS_MAX_FDS)
		return false;
	for (i = 0; i < nr_fds; i++)
		if (!vas_fd_is_eventfd(fds[i]))
			return false;
	return message->type >= BUS_OFFER && message->type <= BUS_UNMAP;
}

int bus_receive(int sock, struct bus_message *message, int fds[BUS_MAX_FDS], uint32_t *nr_fds)
{
	union {
		char space[CMSG_SPACE(ROOM_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { message, sizeof(*message) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int all[ROOM_FDS];
	ssize_t size = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	uint32_t nr;

	*nr_fds = 0;
	if (size < 0)
		return error_of_socket();
	nr = take_fds(&msg, all);
	if (!size && !nr)
		return -ECONNRESET;
	if (!is_message(&msg, size, message, all, nr)) {
		vas_foreign_discard(all, nr);
		return -EPROTO;
	}
	memcpy(fds, all, nr * sizeof(int));
	*nr_fds = nr;
	return 0;
}
