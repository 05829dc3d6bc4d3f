// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/vsock/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HOST_CID   2u
#define FIRST_PORT (1u << 30) /* of the host's end where the host connects */
#define EVENTS	   16

enum state {
	FREE,
	GREETING,  /* the host has connected, and has not said to which port */
	REQUESTED, /* the guest was asked, and has not answered */
	CONNECTED,
};

/* What the guest is to be told. */
#define TELL_REQUEST  1u
#define TELL_RESPONSE 2u
#define TELL_CREDIT   4u
#define TELL_RESET    8u /* and then it is over */

struct vsock_connection {
	enum state state;
	uint32_t ours, theirs; /* ports: the host's end, the guest's */
	int fd;
	uint32_t events; /* that it is looked at for */
	uint32_t tell;
	bool is_readable;   /* there may be something to read */
	bool has_ended;	    /* the host sends no more */
	bool wants_no_more; /* the guest takes no more */
	bool is_closing;    /* the guest sends no more: what is left is written, then it is over */
	/* Credit: what the guest has room for, and what it was sent; what was taken from it. */
	uint32_t their_room, their_taken, sent, taken, told;
	/* What the socket does not take yet: a ring of VSOCK_BUFFER. */
	uint8_t *buffer;
	uint32_t at, nr;
	char line[VSOCK_MAX_LINE]; /* of a greeting, so far */
	uint32_t line_len;
};

/* ---- one ---------------------------------------------------------------------------------- */

static uint32_t credit(const struct vsock_connection *connection)
{
	uint32_t under_way = connection->sent - connection->their_taken;

	return under_way < connection->their_room ? connection->their_room - under_way : 0;
}

/* Whether there may be something to read that can be passed on. */
static bool wants_to_read(const struct vsock_connection *connection)
{
	if (connection->state == GREETING)
		return true;
	return connection->state == CONNECTED && !connection->has_ended &&
	       !connection->wants_no_more && !connection->is_readable && credit(connection);
}

static void update(struct vsock *vsock, struct vsock_connection *connection)
{
	struct epoll_event event = {
		.events =
			(wants_to_read(connection) ? EPOLLIN : 0) | (connection->nr ? EPOLLOUT : 0),
		.data.ptr = connection,
	};

	if (connection->state == FREE || event.events == connection->events)
		return;
	/* One that is of no interest is taken out: its end would be told again and again. */
	if (!event.events)
		epoll_ctl(vsock->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
	else
		epoll_ctl(vsock->epoll, connection->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
			  connection->fd, &event);
	connection->events = event.events;
}

static void tell(struct vsock *vsock, struct vsock_connection *connection, uint32_t what)
{
	connection->tell |= what;
	eventfd_write(vsock->wake, 1);
}

static void drop(struct vsock_connection *connection)
{
	if (connection->state == FREE)
		return;
	close(connection->fd);
	free(connection->buffer);
	memset(connection, 0, sizeof(*connection));
	connection->fd = -1;
}

static struct vsock_connection *add(struct vsock *vsock, int fd, enum state state)
{
	uint32_t i;

	for (i = 0; i < VSOCK_MAX_CONNECTIONS; i++) {
		struct vsock_connection *connection = &vsock->connections[i];

		if (connection->state != FREE)
			continue;
		connection->buffer = malloc(VSOCK_BUFFER);
		if (!connection->buffer)
			break;
		connection->state = state;
		connection->fd = fd;
		return connection;
	}
	close(fd);
	return NULL;
}

static struct vsock_connection *find(struct vsock *vsock, uint32_t ours, uint32_t theirs)
{
	uint32_t i;

	for (i = 0; i < VSOCK_MAX_CONNECTIONS; i++) {
		struct vsock_connection *connection = &vsock->connections[i];

		if (connection->state > GREETING && connection->ours == ours &&
		    connection->theirs == theirs)
			return connection;
	}
	return NULL;
}

/* ---- from the guest ----------------------------------------------------------------------- */

/* Nobody has anything to say any more. */
static bool is_over(const struct vsock_connection *connection)
{
	return connection->is_closing && !connection->nr &&
	       (connection->wants_no_more || connection->has_ended);
}

/* What the socket takes of what is kept. */
static void flush(struct vsock *vsock, struct vsock_connection *connection)
{
	while (connection->nr) {
		uint32_t len = VSOCK_BUFFER - connection->at;
		ssize_t nr;

		if (len > connection->nr)
			len = connection->nr;
		nr = send(connection->fd, connection->buffer + connection->at, len,
			  MSG_DONTWAIT | MSG_NOSIGNAL);
		if (nr < 0 && errno != EAGAIN && errno != EINTR)
			tell(vsock, connection, TELL_RESET);
		if (nr <= 0)
			break;
		connection->at = (connection->at + (uint32_t)nr) % VSOCK_BUFFER;
		connection->nr -= (uint32_t)nr;
		connection->taken += (uint32_t)nr;
	}
	/* Before the guest has no room that it knows of. */
	if (connection->taken - connection->told >= VSOCK_BUFFER / 2)
		tell(vsock, connection, TELL_CREDIT);
	if (connection->is_closing && !connection->nr)
		shutdown(connection->fd, SHUT_WR);
	if (is_over(connection))
		tell(vsock, connection, TELL_RESET);
	update(vsock, connection);
}

static void keep(struct vsock *vsock, struct vsock_connection *connection, const uint8_t *bytes,
		 uint32_t len)
{
	uint32_t at = (connection->at + connection->nr) % VSOCK_BUFFER, first = VSOCK_BUFFER - at;

	/* More than it was told that there is room for. */
	if (len > VSOCK_BUFFER - connection->nr || connection->is_closing) {
		tell(vsock, connection, TELL_RESET);
		return;
	}
	if (first > len)
		first = len;
	memcpy(connection->buffer + at, bytes, first);
	memcpy(connection->buffer, bytes + first, len - first);
	connection->nr += len;
	flush(vsock, connection);
}

/* A program of the host's that listens for this port, or -1. */
static int connect_to_host(const struct vsock *vsock, uint32_t port)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, nr = snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u", vsock->path,
			      port);

	if (nr >= (int)sizeof(address.sun_path))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void reset_stray(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
	if (header->op == VIRTIO_VSOCK_OP_RST ||
	    vsock->nr_strays == sizeof(vsock->strays) / sizeof(vsock->strays[0]))
		return;
	vsock->strays[vsock->nr_strays++] =
		(struct vsock_stray){ header->dst_port, header->src_port };
	eventfd_write(vsock->wake, 1);
}

static void take_credit(struct vsock_connection *connection, const struct virtio_vsock_hdr *header)
{
	connection->their_room = header->buf_alloc;
	connection->their_taken = header->fwd_cnt;
}

static void begin(struct vsock *vsock, const struct virtio_vsock_hdr *header)
{
	int fd = connect_to_host(vsock, header->dst_port);
	struct vsock_connection *connection = fd < 0 ? NULL : add(vsock, fd, CONNECTED);

	if (!connection) {
		reset_stray(vsock, header);
		return;
	}
	connection->ours = header->dst_port;
	connection->theirs = header->src_port;
	take_credit(connection, header);
	tell(vsock, connection, TELL_RESPONSE);
	update(vsock, connection);
}

/* The host's program is told, and what the guest sends is for it. */
static void answered(struct vsock *vsock, struct vsock_connection *connection)
{
	char line[VSOCK_MAX_LINE];
	int len = snprintf(line, sizeof(line), "OK %u\n", connection->ours);

	if (connection->state != REQUESTED ||
	    send(connection->fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) != len)
		tell(vsock, connection, TELL_RESET);
	else
		connection->state = CONNECTED;
	update(vsock, connection);
}

static void shut_down(struct vsock *vsock, struct vsock_connection *connection, uint32_t flags)
{
	connection->wants_no_more |= !!(flags & VIRTIO_VSOCK_SHUTDOWN_RCV);
	connection->is_closing |= !!(flags & VIRTIO_VSOCK_SHUTDOWN_SEND);
	flush(vsock, connection);
}

static void take_for(struct vsock *vsock, struct vsock_connection *connection,
		     const struct vsock_packet *packet)
{
	const struct virtio_vsock_hdr *header = &packet->header;

	take_credit(connection, header);
	switch (header->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		answered(vsock, connection);
		break;
	case VIRTIO_VSOCK_OP_RW:
		keep(vsock, connection, packet->bytes, header->len);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		shut_down(vsock, connection, header->flags);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		tell(vsock, connection, TELL_CREDIT);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_RST:
		drop(connection);
		break;
	default: /* a second request among them */
		tell(vsock, connection, TELL_RESET);
	}
	update(vsock, connection);
}

void vsock_take(struct vsock *vsock, const struct vsock_packet *packet)
{
	const struct virtio_vsock_hdr *header = &packet->header;
	struct vsock_connection *connection;

	/* Whoever says that it is another one, or speaks to another one, hears nothing. */
	if (header->src_cid != vsock->cid || header->dst_cid != HOST_CID)
		return;
	connection = find(vsock, header->dst_port, header->src_port);
	if (connection)
		take_for(vsock, connection, packet);
	else if (header->op == VIRTIO_VSOCK_OP_REQUEST && header->type == VIRTIO_VSOCK_TYPE_STREAM)
		begin(vsock, header);
	else
		reset_stray(vsock, header);
}

/* ---- from the host ------------------------------------------------------------------------ */

static void accept_host(struct vsock *vsock)
{
	int fd = accept4(vsock->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct vsock_connection *connection = fd < 0 ? NULL : add(vsock, fd, GREETING);

	if (connection)
		update(vsock, connection);
}

/* 1: the line is there, without its end; 0: not as a whole; -EPROTO: it will never be. */
static int read_line(struct vsock_connection *connection)
{
	char *to = connection->line + connection->line_len, *end;
	ssize_t nr = recv(connection->fd, to, VSOCK_MAX_LINE - connection->line_len,
			  MSG_PEEK | MSG_DONTWAIT);

	if (nr < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (nr <= 0)
		return -EPROTO;
	/* What is behind it is the connection's. */
	end = memchr(to, '\n', (size_t)nr);
	if (end)
		nr = end + 1 - to;
	if (recv(connection->fd, to, (size_t)nr, MSG_DONTWAIT) != nr)
		return -EPROTO;
	connection->line_len += (uint32_t)nr;
	if (!end)
		return connection->line_len < VSOCK_MAX_LINE ? 0 : -EPROTO;
	*end = '\0';
	return 1;
}

static bool parse_greeting(const char *line, uint32_t *port)
{
	unsigned long number;
	char end;

	if (sscanf(line, "CONNECT %10lu%c", &number, &end) != 1 || number > UINT32_MAX)
		return false;
	*port = (uint32_t)number;
	return true;
}

static void greet(struct vsock *vsock, struct vsock_connection *connection)
{
	int result = read_line(connection);

	if (!result)
		return;
	if (result < 0 || !parse_greeting(connection->line, &connection->theirs)) {
		drop(connection);
		return;
	}
	do
		connection->ours = FIRST_PORT + vsock->next_port++ % FIRST_PORT;
	while (find(vsock, connection->ours, connection->theirs));
	connection->state = REQUESTED;
	tell(vsock, connection, TELL_REQUEST);
	update(vsock, connection);
}

static void look_after(struct vsock *vsock, struct vsock_connection *connection, uint32_t events)
{
	if (connection->state == GREETING)
		greet(vsock, connection);
	if (connection->state != CONNECTED)
		return;
	if (events & (EPOLLOUT | EPOLLERR))
		flush(vsock, connection);
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		connection->is_readable = true;
	update(vsock, connection);
}

void vsock_poll(struct vsock *vsock)
{
	struct epoll_event events[EVENTS];
	int i, nr = epoll_wait(vsock->epoll, events, EVENTS, 0);
	uint64_t count;

	for (i = 0; i < nr; i++)
		if (events[i].data.ptr == &vsock->listener)
			accept_host(vsock);
		else if (events[i].data.ptr == &vsock->wake)
			(void)!read(vsock->wake, &count, sizeof(count));
		else
			look_after(vsock, events[i].data.ptr, events[i].events);
}

/* ---- to the guest ------------------------------------------------------------------------- */

static bool make(struct vsock *vsock, struct vsock_connection *connection,
		 struct vsock_packet *packet, uint16_t op, uint32_t what)
{
	packet->header = (struct virtio_vsock_hdr){
		.src_cid = HOST_CID,
		.dst_cid = vsock->cid,
		.src_port = connection->ours,
		.dst_port = connection->theirs,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = VSOCK_BUFFER,
		.fwd_cnt = connection->taken,
	};
	connection->told = connection->taken;
	connection->tell &= ~what;
	return true;
}

static bool read_host(struct vsock *vsock, struct vsock_connection *connection,
		      struct vsock_packet *packet, uint32_t room)
{
	uint32_t most = credit(connection);
	ssize_t nr;

	if (most > room)
		most = room;
	if (most > VSOCK_MAX_PAYLOAD)
		most = VSOCK_MAX_PAYLOAD;
	connection->is_readable = false;
	if (!most || connection->state != CONNECTED || connection->wants_no_more)
		return false;
	nr = recv(connection->fd, packet->bytes, most, MSG_DONTWAIT);
	if (nr < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (nr < 0) {
		make(vsock, connection, packet, VIRTIO_VSOCK_OP_RST, 0);
		drop(connection);
		return true;
	}
	if (!nr) {
		connection->has_ended = true;
		make(vsock, connection, packet, VIRTIO_VSOCK_OP_SHUTDOWN, 0);
		packet->header.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
		if (is_over(connection))
			tell(vsock, connection, TELL_RESET);
		return true;
	}
	make(vsock, connection, packet, VIRTIO_VSOCK_OP_RW, TELL_CREDIT);
	packet->header.len = (uint32_t)nr;
	connection->sent += (uint32_t)nr;
	return true;
}

static bool give_from(struct vsock *vsock, struct vsock_connection *connection,
		      struct vsock_packet *packet, uint32_t room)
{
	bool is_there;

	if (connection->tell & TELL_RESET) {
		make(vsock, connection, packet, VIRTIO_VSOCK_OP_RST, 0);
		drop(connection);
		return true;
	}
	if (connection->tell & TELL_REQUEST)
		return make(vsock, connection, packet, VIRTIO_VSOCK_OP_REQUEST, TELL_REQUEST);
	if (connection->tell & TELL_RESPONSE)
		return make(vsock, connection, packet, VIRTIO_VSOCK_OP_RESPONSE, TELL_RESPONSE);
	if (connection->tell & TELL_CREDIT)
		return make(vsock, connection, packet, VIRTIO_VSOCK_OP_CREDIT_UPDATE, TELL_CREDIT);
	if (!connection->is_readable)
		return false;
	is_there = read_host(vsock, connection, packet, room);
	update(vsock, connection);
	return is_there;
}

/* Each connection has its turn. */
bool vsock_give(struct vsock *vsock, struct vsock_packet *packet, uint32_t room)
{
	struct vsock_connection stray = { 0 };
	uint32_t i;

	if (vsock->nr_strays) {
		stray.ours = vsock->strays[--vsock->nr_strays].ours;
		stray.theirs = vsock->strays[vsock->nr_strays].theirs;
		return make(vsock, &stray, packet, VIRTIO_VSOCK_OP_RST, 0);
	}
	for (i = 0; i < VSOCK_MAX_CONNECTIONS; i++) {
		uint32_t turn = vsock->turn++ % VSOCK_MAX_CONNECTIONS;

		if (vsock->connections[turn].state > GREETING &&
		    give_from(vsock, &vsock->connections[turn], packet, room))
			return true;
	}
	return false;
}

/* ---- all ---------------------------------------------------------------------------------- */

static int watch(const struct vsock *vsock, const int *fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = (void *)fd };

	return epoll_ctl(vsock->epoll, EPOLL_CTL_ADD, *fd, &event) ? -errno : 0;
}

int vsock_connections_init(struct vsock *vsock)
{
	vsock->connections = calloc(VSOCK_MAX_CONNECTIONS, sizeof(*vsock->connections));
	vsock->epoll = epoll_create1(EPOLL_CLOEXEC);
	vsock->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!vsock->connections || vsock->epoll < 0 || vsock->wake < 0)
		return -ENOMEM;
	return watch(vsock, &vsock->listener) ?: watch(vsock, &vsock->wake);
}

void vsock_connections_close(struct vsock *vsock)
{
	uint32_t i;

	for (i = 0; vsock->connections && i < VSOCK_MAX_CONNECTIONS; i++)
		drop(&vsock->connections[i]);
	vsock->nr_strays = 0;
}
