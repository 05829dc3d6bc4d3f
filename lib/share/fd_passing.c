// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A vas over a Unix socket: one message of one size, and all its fds. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/events/event.h"
#include "lib/handle/file.h"
#include "lib/share/fd_passing.h"
#include "lib/base/cancel.h"
#include "lib/base/foreign.h"

#define MESSAGE_MAGIC 0x3147534d53415656ull /* "VVASMSG1" */
#define MAX_FDS	      252		    /* the kernel's SCM_MAX_FD is 253 */
#define SEND_NS	      (5 * NSEC_PER_SEC)    /* a peer that reads nothing */
#define REST_NS	      (2 * NSEC_PER_SEC)    /* a peer that has begun a message must finish it */

enum fd_kind { FD_VAS, FD_BACKING, FD_EVENT };

struct message_fd {
	uint16_t kind;
	uint16_t which; /* FD_EVENT: main or resample */
	uint32_t id;	/* FD_EVENT */
};

struct message {
	uint64_t magic;
	uint32_t nr_fds;
	uint32_t pad;
	uint8_t uuid[16];
	struct message_fd fds[MAX_FDS];
};
_Static_assert(sizeof(struct message) == 2048, "one size, whatever it carries");

union control {
	char space[CMSG_SPACE(253 * sizeof(int))];
	struct cmsghdr align;
};

/* ---- send --------------------------------------------------------------------------------- */

/* The fds are the parcel's own, so that sending, which may block, needs no lock. */
struct parcel {
	struct message message;
	int fds[MAX_FDS];
};

/* Takes fd over; a negative one is the error of opening it. */
static int put(struct parcel *p, enum fd_kind kind, int fd)
{
	uint32_t i = p->message.nr_fds;

	if (fd < 0)
		return fd;
	p->message.fds[i].kind = (uint16_t)kind;
	p->fds[i] = fd;
	p->message.nr_fds++;
	return 0;
}

static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy < 0 ? vas_error_set(-errno, "cannot duplicate an fd to send: %s",
					strerror(errno)) :
			  copy;
}

static int put_memory(struct parcel *p, enum fd_kind kind, int fd, uint32_t flags)
{
	return put(p, kind,
		   flags & VAS_SEND_READONLY ? vas_file_reopen(fd, O_RDONLY) : duplicate(fd));
}

static int put_events(struct vas *vas, struct parcel *p)
{
	struct vas_event_fd_ref refs[MAX_FDS];
	int i, err = 0, nr = vas_event_list_fds(vas, refs, MAX_FDS - p->message.nr_fds);

	for (i = 0; !err && i < nr; i++) {
		struct message_fd *at = &p->message.fds[p->message.nr_fds];

		at->id = refs[i].id;
		at->which = (uint16_t)refs[i].which;
		err = put(p, FD_EVENT, duplicate(refs[i].fd));
	}
	return err;
}

/* vas->lock is held. */
static int pack(struct vas *vas, struct parcel *p, uint32_t flags)
{
	uint32_t i;
	int err;

	memset(p, 0, sizeof(*p));
	p->message.magic = MESSAGE_MAGIC;
	memcpy(p->message.uuid, vas->sb.uuid, sizeof(p->message.uuid));
	err = put_memory(p, FD_VAS, vas->fd, flags);
	for (i = !vas_has_ram_apart(vas); !err && i < VAS_MAX_BACKINGS; i++)
		if (vas->backings[i].fd >= 0)
			err = put_memory(p, FD_BACKING, vas->backings[i].fd, flags);
	/* Who only looks neither waits for doorbells nor raises interrupts. */
	if (!err && !(flags & (VAS_SEND_READONLY | VAS_SEND_NO_EVENTS)))
		err = put_events(vas, p);
	return err;
}

static int send_parcel(int sock, struct parcel *p, struct deadline deadline)
{
	struct iovec iov = { &p->message, sizeof(p->message) };
	union control control = { 0 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(p->message.nr_fds * sizeof(int)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	ssize_t sent;
	int err;

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(p->message.nr_fds * sizeof(int));
	memcpy(CMSG_DATA(cmsg), p->fds, p->message.nr_fds * sizeof(int));
	do {
		sent = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		err = sent < 0 ? -errno : 0;
		if (err == -EAGAIN)
			err = deadline_wait(sock, POLLOUT, deadline);
		else if (err == -EINTR)
			err = 0;
	} while (sent < 0 && !err);
	if (err)
		return vas_error_set(err, "cannot send the vas: %s", strerror(-err));
	if (sent != (ssize_t)sizeof(p->message))
		return vas_error_set(-EIO, "the socket took only part of the message");
	return 0;
}

int vas_pass_send(struct vas *vas, int sock, uint32_t flags, struct deadline deadline)
{
	NO_CANCEL;
	struct parcel p;
	uint32_t i;
	int err;

	if (flags & ~(VAS_SEND_READONLY | VAS_SEND_NO_EVENTS))
		return vas_error_set(-EINVAL, "unknown flags %#x", flags);
	if (vas->role == VAS_ROLE_OBSERVER)
		flags |= VAS_SEND_READONLY;
	pthread_mutex_lock(&vas->lock);
	err = pack(vas, &p, flags);
	pthread_mutex_unlock(&vas->lock);
	if (!err)
		err = send_parcel(sock, &p, deadline);
	for (i = 0; i < p.message.nr_fds; i++)
		close(p.fds[i]);
	return err;
}

int vas_send_fds(struct vas *vas, int sock, uint32_t flags)
{
	bool waits = !(fcntl(sock, F_GETFL) & O_NONBLOCK);
	int err = vas_pass_send(vas, sock, flags, deadline_in(waits ? SEND_NS : 0));

	return err == -ETIMEDOUT && !waits ? vas_error_set(-EAGAIN, "the socket is full") : err;
}

/* ---- receive ------------------------------------------------------------------------------ */

struct received {
	struct message message;
	int fds[253];
	uint32_t nr_fds; /* received, whatever the message says */
};

static void keep_fds(struct received *a, struct msghdr *msg)
{
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t i, nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		int fd;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if (a->nr_fds < sizeof(a->fds) / sizeof(a->fds[0]))
				a->fds[a->nr_fds++] = fd;
			else
				vas_foreign_discard(&fd, 1);
		}
	}
}

/* One recvmsg, with whatever fds come: bytes, 0 at the end of the stream, or -errno. */
static ssize_t receive_some(int sock, struct received *a, size_t have)
{
	struct iovec iov = { (char *)&a->message + have, sizeof(a->message) - have };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t nr;

	do {
		nr = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (nr < 0 && errno == EINTR);
	if (nr < 0)
		return -errno;
	keep_fds(a, &msg);
	return msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC) ? -EPROTO : nr;
}

/* Waits for a message to begin as the socket does; the rest of it has a deadline. */
static int receive(int sock, struct received *a)
{
	struct deadline deadline = { 0 };
	size_t have = 0;

	while (have < sizeof(a->message)) {
		ssize_t nr = receive_some(sock, a, have);

		if (nr == -EAGAIN && have)
			nr = 0;
		else if (nr < 0)
			return vas_error_set((int)nr,
					     nr == -EPROTO ? "too many fds, or a message too long" :
							     "cannot receive a vas: %s",
					     strerror((int)-nr));
		else if (!nr)
			return vas_error_set(have ? -EPROTO : -ECONNRESET,
					     have ? "the peer closed in the middle of a message" :
						    "the peer closed the socket");
		if (!have)
			deadline = deadline_in(REST_NS);
		have += (size_t)nr;
		if (have < sizeof(a->message) && deadline_wait(sock, POLLIN, deadline))
			return vas_error_set(-EPROTO, "the peer sent half a message and no more");
	}
	return 0;
}

static int check_message(const struct received *a)
{
	uint32_t i;

	if (a->message.magic != MESSAGE_MAGIC || !a->message.nr_fds ||
	    a->message.nr_fds > MAX_FDS || a->message.nr_fds != a->nr_fds ||
	    a->message.fds[0].kind != FD_VAS)
		return vas_error_set(-EPROTO, "what came is no message of vas_send_fds()");
	for (i = 1; i < a->nr_fds; i++)
		if (a->message.fds[i].kind != FD_BACKING && a->message.fds[i].kind != FD_EVENT)
			return vas_error_set(-EPROTO, "the message has an fd of unknown kind %u",
					     a->message.fds[i].kind);
	return 0;
}

/* The fd is taken over (set to -1), or stays to be closed with the rest. */
static int accept_fd(struct vas *vas, const struct message_fd *what, int *fd)
{
	int err;

	if (what->kind == FD_BACKING) {
		err = vas_backing_offer(vas, *fd);
		/* A backing that went while the message was under way is no fault of the peer's. */
		return err < 0 && err != -ENOENT ? err : 0;
	}
	err = vas_event_accept(vas, what->id, what->which, *fd);
	if (!err)
		*fd = -1;
	return err;
}

static int unpack(struct received *a, uint32_t bind_flags, struct vas **out)
{
	struct vas *vas;
	uint32_t i;
	int err = check_message(a);

	if (err)
		return err;
	err = vas_bind(a->fds[0], bind_flags, &vas);
	if (err)
		return err;
	if (memcmp(a->message.uuid, vas->sb.uuid, sizeof(vas->sb.uuid)))
		err = vas_error_set(-EPROTO, "the message speaks of another vas than its fd is");
	for (i = 1; !err && i < a->nr_fds; i++)
		err = accept_fd(vas, &a->message.fds[i], &a->fds[i]);
	if (err)
		vas_unbind(vas);
	else
		*out = vas;
	return err;
}

int vas_pass_recv(int sock, uint32_t bind_flags, struct deadline deadline, struct vas **vas)
{
	int err = deadline_wait(sock, POLLIN, deadline);

	if (err)
		return vas_error_set(err,
				     err == -ETIMEDOUT ? "nobody sends a vas" : "the socket: %s",
				     strerror(-err));
	return vas_recv_fds(sock, bind_flags, vas);
}

int vas_recv_fds(int sock, uint32_t bind_flags, struct vas **out)
{
	NO_CANCEL;
	struct received a = { 0 };
	int err = receive(sock, &a);

	if (!err)
		err = unpack(&a, bind_flags, out);
	vas_foreign_discard(a.fds, a.nr_fds);
	return err;
}
