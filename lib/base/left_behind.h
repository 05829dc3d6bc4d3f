/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A Unix socket's file that a process has left which was killed. */
#ifndef VAS_LIB_LEFT_BEHIND_H
#define VAS_LIB_LEFT_BEHIND_H

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Nobody listens there any more, and it may be replaced. Never another kind of file, though to
 * connect to one is refused as well. Who is there does not refuse: -EAGAIN if he is too busy,
 * -EPROTOTYPE if he has another type of socket. errno stays.
 */
static inline bool is_left_behind(const struct sockaddr_un *address)
{
	int sock, saved_errno = errno;
	struct stat file;
	bool is_refused;

	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	is_refused = sock >= 0 && !lstat(address->sun_path, &file) && S_ISSOCK(file.st_mode) &&
		     connect(sock, (const struct sockaddr *)address, sizeof(*address)) &&
		     errno == ECONNREFUSED;
	if (sock >= 0)
		close(sock);
	errno = saved_errno;
	return is_refused;
}

#endif
