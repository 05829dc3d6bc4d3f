// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "qemu/qmp.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/deadline.h"

#define MAX_MESSAGE (4u << 20)
#define FIRST_ROOM  4096
#define MAX_DEPTH   32
#define RETRY_MS    10
/* QEMU answers at once, but for what waits for disks: stop and cont drain and flush them. */
#define ANSWER_NS (60 * NSEC_PER_SEC)

struct qmp {
	int sock;
	pid_t pid;
	int64_t id; /* of the last command */
	char *bytes;
	size_t nr; /* of bytes that are there */
	size_t room;
};

/* ---- messages ----------------------------------------------------------------------------- */

static int failed(int err)
{
	if (err == -ETIMEDOUT)
		return vas_error_set(err, "QEMU's monitor does not answer in time");
	if (err == -ECONNRESET || err == -EPIPE)
		return vas_error_set(-ECONNRESET, "QEMU has closed its monitor: it has ended, or "
						  "speaks with somebody else");
	return vas_error_set(err, "QEMU's monitor: %s", strerror(-err));
}

static int receive(struct qmp *qmp, struct deadline deadline)
{
	ssize_t nr;
	int err;

	if (qmp->nr == qmp->room) {
		size_t room = 2 * qmp->room;
		char *bytes = room > MAX_MESSAGE ? NULL : realloc(qmp->bytes, room);

		if (!bytes)
			return vas_error_set(-EPROTO,
					     "QEMU's monitor says more than %u bytes at "
					     "once",
					     MAX_MESSAGE);
		qmp->bytes = bytes;
		qmp->room = room;
	}
	do {
		err = deadline_wait(qmp->sock, POLLIN, deadline);
		if (err)
			return failed(err);
		nr = recv(qmp->sock, qmp->bytes + qmp->nr, qmp->room - qmp->nr, MSG_DONTWAIT);
	} while (nr < 0 && (errno == EAGAIN || errno == EINTR));
	if (nr <= 0)
		return failed(nr ? -errno : -ECONNRESET);
	qmp->nr += (size_t)nr;
	return 0;
}

/* The next line, which must be an object. */
static int next_message(struct qmp *qmp, struct deadline deadline, struct json_object **message)
{
	struct json_tokener *tokener;
	size_t looked = 0;
	char *end;

	while (!(end = memchr(qmp->bytes + looked, '\n', qmp->nr - looked))) {
		int err;

		looked = qmp->nr;
		err = receive(qmp, deadline);
		if (err)
			return err;
	}
	tokener = json_tokener_new_ex(MAX_DEPTH);
	if (!tokener)
		return vas_error_set(-ENOMEM, "no memory for a message");
	*message = json_tokener_parse_ex(tokener, qmp->bytes, (int)(end - qmp->bytes));
	json_tokener_free(tokener);
	qmp->nr -= (size_t)(end + 1 - qmp->bytes);
	memmove(qmp->bytes, end + 1, qmp->nr);
	if (json_object_is_type(*message, json_type_object))
		return 0;
	json_object_put(*message);
	return vas_error_set(-EPROTO, "QEMU's monitor says what is no QMP");
}

/* All of it, with an fd if that is not -1. */
static int send_text(struct qmp *qmp, const char *text, size_t size, int fd,
		     struct deadline deadline)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };

	while (size) {
		struct iovec part = { (void *)text, size };
		struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
		ssize_t nr;
		int err = deadline_wait(qmp->sock, POLLOUT, deadline);

		if (err)
			return failed(err);
		if (fd >= 0) {
			struct cmsghdr *c = &control.align;

			header.msg_control = control.bytes;
			header.msg_controllen = sizeof(control.bytes);
			*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fd)),
					       .cmsg_level = SOL_SOCKET,
					       .cmsg_type = SCM_RIGHTS };
			memcpy(CMSG_DATA(c), &fd, sizeof(fd));
		}
		nr = sendmsg(qmp->sock, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (nr < 0 && errno != EAGAIN && errno != EINTR)
			return failed(-errno);
		if (nr <= 0)
			continue;
		text += nr;
		size -= (size_t)nr;
		fd = -1;
	}
	return 0;
}

/* ---- commands ----------------------------------------------------------------------------- */

static int send_command(struct qmp *qmp, const char *name, struct json_object *arguments, int fd,
			struct deadline deadline)
{
	struct json_object *command = json_object_new_object();
	const char *text;
	size_t size;
	int err;

	json_object_object_add(command, "execute", json_object_new_string(name));
	if (arguments)
		json_object_object_add(command, "arguments", arguments);
	json_object_object_add(command, "id", json_object_new_int64(++qmp->id));
	text = json_object_to_json_string_length(command, JSON_C_TO_STRING_PLAIN, &size);
	err = text ? send_text(qmp, text, size, fd, deadline) :
		     vas_error_set(-ENOMEM, "no memory for a command");
	json_object_put(command);
	return err;
}

static int is_answer(const struct qmp *qmp, struct json_object *message)
{
	struct json_object *id;

	return json_object_object_get_ex(message, "id", &id) &&
	       json_object_get_int64(id) == qmp->id;
}

static int take_answer(struct json_object *message, const char *name, struct json_object **result)
{
	struct json_object *answer, *words = NULL;

	if (json_object_object_get_ex(message, "return", &answer)) {
		if (result)
			*result = json_object_get(answer);
		return 0;
	}
	if (json_object_object_get_ex(message, "error", &answer))
		json_object_object_get_ex(answer, "desc", &words);
	return vas_error_set(-EREMOTEIO, "QEMU refuses '%s': %.300s", name,
			     words ? json_object_get_string(words) : "it does not say why");
}

static int command(struct qmp *qmp, const char *name, struct json_object *arguments, int fd,
		   struct json_object **result, struct deadline deadline)
{
	struct json_object *message;
	int err = send_command(qmp, name, arguments, fd, deadline), is_ours = 0;

	while (!err && !is_ours) {
		err = next_message(qmp, deadline, &message);
		if (err)
			break;
		is_ours = is_answer(qmp, message);
		if (is_ours)
			err = take_answer(message, name, result);
		json_object_put(message);
	}
	return err;
}

int qmp_command(struct qmp *qmp, const char *name, struct json_object *arguments,
		struct json_object **result)
{
	return command(qmp, name, arguments, -1, result, deadline_in(ANSWER_NS));
}

int qmp_send(struct qmp *qmp, const char *name, struct json_object *arguments)
{
	return send_command(qmp, name, arguments, -1, deadline_in(ANSWER_NS));
}

/* 1: one is there, whole. */
static int has_message(struct qmp *qmp)
{
	struct pollfd fd = { .fd = qmp->sock, .events = POLLIN };
	int err = 0;

	while (!err && !memchr(qmp->bytes, '\n', qmp->nr)) {
		if (poll(&fd, 1, 0) != 1)
			return 0;
		err = receive(qmp, deadline_in(ANSWER_NS));
	}
	return err ? err : 1;
}

int qmp_poll(struct qmp *qmp, struct json_object **result)
{
	struct json_object *message;
	int got, is_ours = 0;

	while (!is_ours) {
		int err;

		got = has_message(qmp);
		if (got <= 0)
			return got;
		err = next_message(qmp, deadline_in(ANSWER_NS), &message);
		if (err)
			return err;
		is_ours = is_answer(qmp, message);
		err = is_ours ? take_answer(message, "a question", result) : 0;
		json_object_put(message);
		if (err)
			return err;
	}
	return 1;
}

int qmp_await_close(struct qmp *qmp, uint64_t timeout_ns)
{
	struct deadline deadline = deadline_in(timeout_ns);
	struct json_object *message;
	int err;

	while (!(err = next_message(qmp, deadline, &message)))
		json_object_put(message);
	return err == -ECONNRESET ? 0 : err;
}

int qmp_give_fd(struct qmp *qmp, const char *name, int fd)
{
	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, "fdname", json_object_new_string(name));
	return command(qmp, "getfd", arguments, fd, NULL, deadline_in(ANSWER_NS));
}

int qmp_add_fd(struct qmp *qmp, int fd, int64_t *set, int *number)
{
	struct json_object *result = NULL, *value;
	int err = command(qmp, "add-fd", NULL, fd, &result, deadline_in(ANSWER_NS));

	*number = -1;
	if (!err && json_object_object_get_ex(result, "fdset-id", &value))
		*set = json_object_get_int64(value);
	else if (!err)
		err = vas_error_set(-EPROTO, "QEMU's monitor takes an fd without a word");
	if (!err && json_object_object_get_ex(result, "fd", &value))
		*number = json_object_get_int(value);
	json_object_put(result);
	return err;
}

int qmp_remove_fd(struct qmp *qmp, int64_t set)
{
	struct json_object *arguments = json_object_new_object();

	json_object_object_add(arguments, "fdset-id", json_object_new_int64(set));
	return qmp_command(qmp, "remove-fd", arguments, NULL);
}

/* ---- the connection ----------------------------------------------------------------------- */

/* A full backlog is -EAGAIN at once, where a blocking socket would wait for ever. */
static int connect_by(int sock, const struct sockaddr_un *to, struct deadline deadline)
{
	while (connect(sock, (const struct sockaddr *)to, sizeof(*to))) {
		if (errno != EAGAIN && errno != EINTR)
			return vas_error_set(-errno, "%s: %s", to->sun_path, strerror(errno));
		if (!deadline_left_ns(deadline))
			return vas_error_set(-EBUSY, "%s: too many wait for it already",
					     to->sun_path);
		poll(NULL, 0, RETRY_MS);
	}
	return 0;
}

static int negotiate(struct qmp *qmp, struct deadline deadline)
{
	struct json_object *greeting;
	int err = next_message(qmp, deadline, &greeting), is_greeting;

	if (err == -ETIMEDOUT)
		return vas_error_set(-EBUSY, "QEMU's monitor says nothing: another command speaks "
					     "with it, or QEMU hangs");
	if (err)
		return err;
	is_greeting = json_object_object_get_ex(greeting, "QMP", NULL);
	json_object_put(greeting);
	if (!is_greeting)
		return vas_error_set(-EPROTO, "QEMU's monitor says what is no QMP");
	return command(qmp, "qmp_capabilities", NULL, -1, NULL, deadline);
}

int qmp_open(const char *path, uint64_t timeout_ns, struct qmp **out)
{
	struct deadline deadline = deadline_in(timeout_ns);
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct qmp *qmp = calloc(1, sizeof(*qmp));
	struct ucred peer = { 0 };
	socklen_t size = sizeof(peer);
	int err;

	if (!qmp || !(qmp->bytes = malloc(FIRST_ROOM))) {
		free(qmp);
		return vas_error_set(-ENOMEM, "no memory for a monitor");
	}
	qmp->room = FIRST_ROOM;
	qmp->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (strlen(path) >= sizeof(to.sun_path))
		err = vas_error_set(-ENAMETOOLONG, "%s is too long for a socket's path", path);
	else if (qmp->sock < 0)
		err = vas_error_set(-errno, "no socket to be had: %s", strerror(errno));
	else
		err = connect_by(qmp->sock, strcpy(to.sun_path, path) ? &to : NULL, deadline);
	if (!err && !getsockopt(qmp->sock, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		qmp->pid = peer.pid;
	if (!err)
		err = negotiate(qmp, deadline);
	if (err)
		qmp_close(qmp);
	else
		*out = qmp;
	return err;
}

void qmp_close(struct qmp *qmp)
{
	if (!qmp)
		return;
	if (qmp->sock >= 0)
		close(qmp->sock);
	free(qmp->bytes);
	free(qmp);
}

pid_t qmp_pid(const struct qmp *qmp)
{
	return qmp->pid;
}

const char *qmp_text(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}
