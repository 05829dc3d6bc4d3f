// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Requests sent to another process, which was given nothing but an fd (subject_process) or a socket
 * on which the vas is sent (subject_sent). The wire: struct request, then its data; one at a time.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "subject.h"

static int send_all(int sock, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = send(sock, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int recv_all(int sock, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = recv(sock, p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

union fd_message {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_head(int sock, struct request *r)
{
	union fd_message control = { .bytes = { 0 } };
	struct iovec iov = { r, sizeof(*r) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (r->fd >= 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &r->fd, sizeof(int));
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)sizeof(*r) ? 0 : -EPIPE;
}

static int recv_head(int sock, struct request *r)
{
	union fd_message control = { .bytes = { 0 } };
	struct iovec iov = { r, sizeof(*r) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	msg.msg_control = control.bytes;
	msg.msg_controllen = sizeof(control.bytes);
	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_WAITALL) != (ssize_t)sizeof(*r))
		return -EPIPE;
	if (r->fd >= 0)
		memcpy(&r->fd, CMSG_DATA(&control.align), sizeof(int));
	return 0;
}

static void serve(struct vas **vas, struct request *r)
{
	if (r->op == REQ_BIND)
		r->result = vas_bind(r->fd, r->flags, vas);
	else if (r->op == REQ_RECEIVE)
		r->result = vas_recv_fds(r->fd, r->flags, vas);
	else
		request_execute(*vas, r);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = REQUEST_NO_FD;
}

ROLE(contract_process)
{
	uint8_t *data = malloc(REQUEST_DATA_MAX);
	struct vas *vas = NULL;
	struct request r;

	while (data && !recv_head(sock, &r)) {
		if (r.in_size > REQUEST_DATA_MAX || recv_all(sock, data, r.in_size))
			break;
		r.data = data;
		r.out_size = 0;
		serve(&vas, &r);
		if (send_head(sock, &r) || send_all(sock, data, r.out_size))
			break;
	}
	vas_unbind(vas);
	free(data);
	return 0;
}

static void process_call(struct subject *s, struct request *r)
{
	if (send_head(s->sock, r) || send_all(s->sock, r->data, r->in_size) ||
	    recv_head(s->sock, r) || recv_all(s->sock, s->data, r->out_size))
		test_fail(__FILE__, __LINE__, "the other process died at request %u", r->op);
	r->data = s->data;
}

static void process_unbind(struct subject *s)
{
	int status = -1;

	close(s->sock);
	waitpid(s->pid, &status, 0);
	CHECK_EQ(status, 0);
}

static int process_bind(struct subject *s, int fd)
{
	struct request r = { .op = REQ_BIND, .flags = s->kind->bind_flags, .fd = fd };

	s->pid = test_spawn("contract_process", &s->sock);
	process_call(s, &r);
	if (r.result < 0)
		process_unbind(s);
	return (int)r.result;
}

static int sent_bind(struct subject *s, int fd)
{
	struct request r = { .op = REQ_RECEIVE, .flags = s->kind->bind_flags };
	int pair[2];

	(void)fd;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	CHECK_OK(vas_send_fds(s->owner, pair[0], 0));
	s->pid = test_spawn("contract_process", &s->sock);
	r.fd = pair[1];
	process_call(s, &r);
	close(pair[0]);
	close(pair[1]);
	if (r.result < 0)
		process_unbind(s);
	return (int)r.result;
}

const struct subject_ops subject_process = {
	.bind = process_bind,
	.unbind = process_unbind,
	.call = process_call,
};

const struct subject_ops subject_sent = {
	.bind = sent_bind,
	.unbind = process_unbind,
	.call = process_call,
};
