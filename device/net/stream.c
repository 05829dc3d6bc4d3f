// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Who is connected to a Unix stream socket, as passt is: each frame with its length, four bytes in
 * network order, in front. It is what QEMU's `-netdev stream` and `-netdev socket` speak.
 *
 * A peer that goes takes nothing with it but frames. It is connected to again, ten times a second
 * until it is there; one that has another client already ends the connection at once, which is the
 * same. So while a device process takes over from another, the peer is the old one's until that
 * has ended.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "device/net/port.h"

#define LENGTH	  ((uint32_t)sizeof(uint32_t))
#define MAX_BYTES (LENGTH + NET_MAX_FRAME)
#define AGAIN_NS  (100 * 1000 * 1000)
#define QUEUED	  (4 << 20) /* bytes that wait for the peer */

struct net_stream {
	struct net_port
		port; /* its fd is an epoll of the timer, and of the socket if there is one */
	struct sockaddr_un address;
	int timer; /* when to connect again */

	/* Who sends and who receives are two threads. */
	pthread_mutex_t lock;
	int socket; /* or -1: nobody is connected */
	/* Of a frame of which the socket took the beginning only. */
	uint8_t rest[MAX_BYTES];
	uint32_t rest_at, rest_len;

	/* Who receives: */
	struct iovec frame;
	uint32_t begin, end; /* in bytes: what was read, and is not passed on yet */
	uint8_t bytes[2 * MAX_BYTES];
};

/* ---- the connection: under the lock -------------------------------------------------------- */

/* For the first time in ns; 0: not at all. */
static void set_timer(struct net_stream *stream, long ns)
{
	const struct itimerspec often = { { .tv_nsec = AGAIN_NS }, { .tv_nsec = ns } };

	timerfd_settime(stream->timer, 0, &often, NULL);
}

static void disconnect(struct net_stream *stream)
{
	close(stream->socket);
	stream->socket = -1;
	stream->rest_len = 0;
	set_timer(stream, AGAIN_NS);
}

/* Bytes of the peer's are of interest, and room for what is left of a frame. */
static int watch(struct net_stream *stream, int op)
{
	struct epoll_event event = { .events = EPOLLIN | (stream->rest_len ? EPOLLOUT : 0) };

	return epoll_ctl(stream->port.fd, op, stream->socket, &event);
}

static void connect_again(struct net_stream *stream)
{
	int queued = QUEUED;

	stream->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (stream->socket < 0)
		return;
	setsockopt(stream->socket, SOL_SOCKET, SO_SNDBUF, &queued, sizeof(queued));
	if (connect(stream->socket, (struct sockaddr *)&stream->address, sizeof(stream->address)) ||
	    watch(stream, EPOLL_CTL_ADD)) {
		close(stream->socket);
		stream->socket = -1;
		return;
	}
	set_timer(stream, 0);
}

static bool is_time(const struct net_stream *stream)
{
	uint64_t times;

	return read(stream->timer, &times, sizeof(times)) > 0;
}

/* ---- sending: under the lock --------------------------------------------------------------- */

/* False: something is still left, or the peer has gone. */
static bool send_rest(struct net_stream *stream)
{
	ssize_t nr;

	if (!stream->rest_len)
		return true;
	nr = send(stream->socket, stream->rest + stream->rest_at, stream->rest_len,
		  MSG_DONTWAIT | MSG_NOSIGNAL);
	if (nr < 0)
		return false;
	stream->rest_at += (uint32_t)nr;
	stream->rest_len -= (uint32_t)nr;
	if (!stream->rest_len)
		watch(stream, EPOLL_CTL_MOD);
	return !stream->rest_len;
}

/* All but the first `sent` bytes: the frame has begun, so it has to have an end. */
static void keep_rest(struct net_stream *stream, const struct iovec *iov, size_t nr, size_t sent)
{
	size_t i;

	stream->rest_at = stream->rest_len = 0;
	for (i = 0; i < nr; i++) {
		size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;
		size_t len = iov[i].iov_len - skip;

		memcpy(stream->rest + stream->rest_len, (uint8_t *)iov[i].iov_base + skip, len);
		stream->rest_len += (uint32_t)len;
		sent -= skip;
	}
	if (stream->rest_len)
		watch(stream, EPOLL_CTL_MOD);
}

static bool send_frame(struct net_stream *stream, const struct net_frame *frame)
{
	uint32_t length = htonl(frame->len);
	struct iovec iov[1 + NET_FRAME_IOV];
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = frame->nr + 1 };
	ssize_t sent;

	if (stream->socket < 0 || frame->len > NET_MAX_FRAME || !send_rest(stream))
		return false;
	iov[0] = (struct iovec){ &length, LENGTH };
	memcpy(&iov[1], frame->iov, frame->nr * sizeof(*frame->iov));
	sent = sendmsg(stream->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)
		return false;
	keep_rest(stream, iov, message.msg_iovlen, (size_t)sent);
	return true;
}

static bool send_stream(struct net_port *port, const struct net_frame *frame)
{
	struct net_stream *stream = (struct net_stream *)port;
	bool is_sent;

	pthread_mutex_lock(&stream->lock);
	is_sent = send_frame(stream, frame);
	pthread_mutex_unlock(&stream->lock);
	return is_sent;
}

/* ---- receiving ----------------------------------------------------------------------------- */

/* Some bytes more, behind those that there are. Room for a frame is made first. */
static void read_some(struct net_stream *stream)
{
	ssize_t nr;

	if (sizeof(stream->bytes) - stream->begin < MAX_BYTES) {
		memmove(stream->bytes, stream->bytes + stream->begin, stream->end - stream->begin);
		stream->end -= stream->begin;
		stream->begin = 0;
	}
	nr = recv(stream->socket, stream->bytes + stream->end, sizeof(stream->bytes) - stream->end,
		  MSG_DONTWAIT);
	if (nr > 0)
		stream->end += (uint32_t)nr;
	else if (!nr || errno != EAGAIN)
		disconnect(stream);
}

/* What a peer that has gone has left of a frame is no part of the next one's. */
static void look(struct net_stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	if (stream->socket < 0 && is_time(stream))
		connect_again(stream);
	if (stream->socket >= 0) {
		send_rest(stream);
		read_some(stream);
	}
	if (stream->socket < 0)
		stream->begin = stream->end = 0;
	pthread_mutex_unlock(&stream->lock);
}

/* 1: the frame at the front is whole; 0: it is not; -EPROTO: there is no such frame. */
static int find_frame(struct net_stream *stream)
{
	uint32_t there = stream->end - stream->begin, length;

	if (there < LENGTH)
		return 0;
	memcpy(&length, stream->bytes + stream->begin, LENGTH);
	length = ntohl(length);
	if (length < NET_MIN_FRAME || length > NET_MAX_FRAME)
		return -EPROTO;
	if (there - LENGTH < length)
		return 0;
	stream->frame = (struct iovec){ stream->bytes + stream->begin + LENGTH, length };
	stream->begin += LENGTH + length;
	return 1;
}

static int receive(struct net_port *port, struct net_frame *frame)
{
	struct net_stream *stream = (struct net_stream *)port;
	int found = find_frame(stream);

	if (!found) {
		look(stream);
		found = find_frame(stream);
	}
	if (found < 0) {
		/* Where its next frame begins is unknown. */
		pthread_mutex_lock(&stream->lock);
		if (stream->socket >= 0)
			disconnect(stream);
		stream->begin = stream->end = 0;
		pthread_mutex_unlock(&stream->lock);
	}
	if (found <= 0)
		return 0;
	*frame = (struct net_frame){
		.iov = &stream->frame,
		.nr = 1,
		.len = (uint32_t)stream->frame.iov_len,
	};
	return 1;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Who only waits to take a device over does not take the peer from whoever serves it. */
static void attach(struct net_port *port, bool takes)
{
	struct net_stream *stream = (struct net_stream *)port;

	pthread_mutex_lock(&stream->lock);
	if (takes && stream->socket < 0)
		set_timer(stream, 1);
	pthread_mutex_unlock(&stream->lock);
}

static int find_address(struct net_stream *stream, const char *path)
{
	struct stat about;

	stream->address.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(stream->address.sun_path))
		return vas_error_set(-ENAMETOOLONG, "'%s' is too long for a socket", path);
	strcpy(stream->address.sun_path, path);
	if (stat(path, &about))
		return vas_error_set(-errno, "the socket '%s': %s", path, strerror(errno));
	if (!S_ISSOCK(about.st_mode))
		return vas_error_set(-ENOTSOCK, "'%s' is no socket", path);
	return 0;
}

static int make(struct net_stream *stream, const struct net_options *options)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (options->nr_pairs > 1)
		return vas_error_set(-EINVAL, "a stream serves one pair of queues, and not %u",
				     options->nr_pairs);
	stream->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	stream->port.fd = epoll_create1(EPOLL_CLOEXEC);
	if (stream->timer < 0 || stream->port.fd < 0 ||
	    epoll_ctl(stream->port.fd, EPOLL_CTL_ADD, stream->timer, &event))
		return vas_error_set(-errno, "no timer, or no epoll: %s", strerror(errno));
	return find_address(stream, options->name);
}

static void close_stream(struct net_port *port)
{
	struct net_stream *stream = (struct net_stream *)port;
	const int fds[] = { stream->socket, stream->timer, port->fd };
	size_t i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
}

static int open_stream(struct net *net, const struct net_options *options, struct net_port **port)
{
	struct net_stream *stream = calloc(1, sizeof(*stream));
	int err;

	(void)net;
	if (!stream)
		return vas_error_set(-ENOMEM, "no memory for a network");
	stream->port.fd = stream->socket = stream->timer = -1;
	pthread_mutex_init(&stream->lock, NULL);
	err = make(stream, options);
	if (err)
		close_stream(&stream->port);
	else
		*port = &stream->port;
	return err;
}

const struct net_port_ops net_stream = {
	.name = "stream",
	.reaches_others = true,
	.open = open_stream,
	.close = close_stream,
	.send = send_stream,
	.receive = receive,
	.attach = attach,
};
