// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vas/consumer.h>

static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? vas_error_set(-errno, "no socket: %s", strerror(errno)) : fd;
}

/* What a process that was killed has left: nobody listens there. */
static int unlink_stale(const struct sockaddr_un *address)
{
	int fd = open_socket();

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
	    errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(fd);
	return 0;
}

int device_listen(const char *path, size_t spare)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) + spare >= sizeof(address.sun_path))
		return vas_error_set(-ENAMETOOLONG, "'%s' is too long for the path of a socket",
				     path);
	strcpy(address.sun_path, path);
	err = unlink_stale(&address);
	if (err)
		return err;
	fd = open_socket();
	if (fd < 0)
		return fd;
	if (!bind(fd, (struct sockaddr *)&address, sizeof(address)) && !listen(fd, SOMAXCONN))
		return fd;
	err = -errno;
	close(fd);
	return vas_error_set(err, "cannot listen at %s: %s", path, strerror(-err));
}
