// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/endpoint/front_ends.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/ui/verb.h"

#define RETRY_MS 100 /* between two looks whether a front end listens */

/* ---- opening ------------------------------------------------------------------------------ */

static int listen_at(struct front_ends *ends)
{
	char text[128];
	int code;

	if (snprintf(text, sizeof(text), "unix:%s", ends->path) >= (int)sizeof(text))
		return fail_usage("'%s' is too long for the path of a socket", ends->path);
	code = listener_open(&ends->listener, text);
	if (!code)
		ends->listening = ends->listener.fds[0];
	return code;
}

static int option_of(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &size) ? -1 : value;
}

/* One that blocks would keep us in accept() where a front end has gone at once. */
static int inherit(struct front_ends *ends)
{
	int fd = ends->fd, flags = fcntl(fd, F_GETFL);

	if (option_of(fd, SO_DOMAIN) != AF_UNIX || option_of(fd, SO_TYPE) != SOCK_STREAM)
		return fail_usage("--fd: %d is no Unix stream socket that this command inherits",
				  fd);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return fail(EXIT_REFUSED, "--fd: %d: %s", fd, strerror(errno));
	if (option_of(fd, SO_ACCEPTCONN) == 1)
		ends->listening = fd;
	else
		ends->once = fd;
	return EXIT_OK;
}

static int check_path(const struct front_ends *ends)
{
	if (strlen(ends->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return fail_usage("'%s' is too long for the path of a socket", ends->path);
	return EXIT_OK;
}

int front_ends_open(struct front_ends *ends)
{
	ends->listening = ends->once = -1;
	if (!ends->path)
		return inherit(ends);
	return ends->connects ? check_path(ends) : listen_at(ends);
}

/* ---- the next one ------------------------------------------------------------------------- */

static int accept_next(const struct front_ends *ends, int stop_fd)
{
	struct pollfd fds[] = {
		{ .fd = ends->listening, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
	};
	int sock;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -ECANCELED;
		sock = accept4(ends->listening, NULL, NULL, SOCK_CLOEXEC);
		if (sock >= 0)
			return sock;
		/* Else it has gone at once, or another process has it. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			return -errno;
	}
}

static int try_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(address.sun_path, path, strlen(path));
	if (sock >= 0 && connect(sock, (const struct sockaddr *)&address, sizeof(address))) {
		close(sock);
		return -1;
	}
	return sock;
}

/* It may not be there yet, or not again. */
static int connect_next(struct front_ends *ends, int stop_fd)
{
	struct pollfd stop = { .fd = stop_fd, .events = POLLIN };
	int sock;

	for (;;) {
		if (poll(&stop, 1, ends->has_tried ? RETRY_MS : 0) > 0)
			return -ECANCELED;
		ends->has_tried = true;
		sock = try_connect(ends->path);
		if (sock >= 0)
			return sock;
	}
}

int front_ends_next(struct front_ends *ends, int stop_fd)
{
	int sock = ends->once;

	if (ends->connects)
		return connect_next(ends, stop_fd);
	if (ends->listening >= 0)
		return accept_next(ends, stop_fd);
	ends->once = -1;
	return sock < 0 ? -ENODATA : sock;
}

const char *front_ends_name(const struct front_ends *ends)
{
	return ends->path ? ends->path : "--fd";
}

void front_ends_close(struct front_ends *ends)
{
	if (ends->path && !ends->connects)
		listener_close(&ends->listener);
}
