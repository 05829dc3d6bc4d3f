// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/ui/output.h"
#include "cli/target/parse.h"
#include "cli/ui/verb.h"

struct address {
	struct sockaddr_storage storage;
	socklen_t size;
	int family;
};

/* ---- addresses ---------------------------------------------------------------------------- */

static int unix_address(const char *path, struct address *address)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;

	if (!*path || strlen(path) >= sizeof(un->sun_path))
		return fail_usage("'%s' is no path for a socket: it has 1 to %zu bytes", path,
				  sizeof(un->sun_path) - 1);
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	address->size = sizeof(*un);
	address->family = AF_UNIX;
	return EXIT_OK;
}

static int tcp_address(const char *text, struct address *address)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *info;
	const char *colon = strrchr(text, ':');
	char host[256] = "";
	int err;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return fail_usage("'tcp:%s' is no address: write tcp:HOST:PORT", text);
	memcpy(host, text, (size_t)(colon - text));
	err = getaddrinfo(*host ? host : NULL, colon + 1, &hints, &info);
	if (err)
		return fail(EXIT_NOT_FOUND, "%s: %s", text, gai_strerror(err));
	memcpy(&address->storage, info->ai_addr, info->ai_addrlen);
	address->size = info->ai_addrlen;
	address->family = info->ai_family;
	freeaddrinfo(info);
	return EXIT_OK;
}

static int take_address(const char *text, struct address *address)
{
	memset(address, 0, sizeof(*address));
	return !strncmp(text, "unix:", 5) ? unix_address(text + 5, address) :
					    tcp_address(text + 4, address);
}

static int is_socket_text(const char *text)
{
	return !strncmp(text, "unix:", 5) || !strncmp(text, "tcp:", 4);
}

/* ---- files and fds ------------------------------------------------------------------------ */

static int open_fd(struct endpoint *e, const char *text, int open_flags)
{
	int is_output = open_flags != O_RDONLY, number, fd;
	struct stat st;

	if (!strcmp(text, "-"))
		fd = dup(is_output ? STDOUT_FILENO : STDIN_FILENO);
	else if (strncmp(text, "fd:", 3))
		fd = is_output ? output_open(text) : open(text, open_flags | O_CLOEXEC);
	else if (parse_number(text + 3, &number))
		return fail_usage("'%s' names no fd: write fd:3", text);
	else
		fd = dup(number);
	if (fd < 0 || fstat(fd, &st))
		return fail(EXIT_REFUSED, "%s: %s", text, strerror(errno));
	e->fds[e->nr++] = fd;
	e->is_one_way = !S_ISSOCK(st.st_mode);
	return EXIT_OK;
}

static int open_one(struct endpoint *e, const char *text, int nr, int open_flags)
{
	if (nr != 1)
		return fail_usage("%s has one channel; several need unix: or tcp:", text);
	return open_fd(e, text, open_flags);
}

/* ---- sockets ------------------------------------------------------------------------------ */

int endpoint_connect(struct endpoint *e, const char *text, int nr)
{
	struct address address;
	int code;

	*e = (struct endpoint){ 0 };
	if (!is_socket_text(text))
		return open_one(e, text, nr, O_WRONLY | O_CREAT | O_TRUNC);
	code = take_address(text, &address);
	while (!code && e->nr < nr) {
		int fd = socket(address.family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd >= 0)
			e->fds[e->nr++] = fd;
		if (fd < 0 || connect(fd, (struct sockaddr *)&address.storage, address.size))
			code = fail(EXIT_REFUSED, "cannot connect to %s: %s", text,
				    strerror(errno));
	}
	if (code)
		endpoint_close(e);
	return code;
}

static int listen_at(const char *text, const struct address *address, int nr)
{
	int one = 1, fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (address->family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&address->storage, address->size) || listen(fd, nr)) {
		int err = -errno;

		close(fd);
		return err;
	}
	note("waiting for %d channel%s at %s", nr, nr == 1 ? "" : "s", text);
	return fd;
}

int endpoint_accept(struct endpoint *e, const char *text, int nr)
{
	struct address address;
	int code, listener;

	*e = (struct endpoint){ 0 };
	if (!is_socket_text(text))
		return open_one(e, text, nr, O_RDONLY);
	code = take_address(text, &address);
	if (code)
		return code;
	listener = listen_at(text, &address, nr);
	if (listener < 0)
		return fail(EXIT_REFUSED, "cannot listen at %s: %s", text, strerror(-listener));
	while (!code && e->nr < nr) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			e->fds[e->nr++] = fd;
		else if (errno != EINTR)
			code = fail(EXIT_REFUSED, "nobody can connect to %s: %s", text,
				    strerror(errno));
	}
	close(listener);
	if (address.family == AF_UNIX)
		unlink(((struct sockaddr_un *)&address.storage)->sun_path);
	if (code)
		endpoint_close(e);
	return code;
}

void endpoint_close(struct endpoint *e)
{
	while (e->nr)
		close(e->fds[--e->nr]);
}
