// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tinyvmm_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int socket_open(const char *path, struct sockaddr_un *address)
{
	int fd;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address->sun_path))
		return -ENAMETOOLONG;
	strcpy(address->sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int socket_listen(const char *path)
{
	struct sockaddr_un address;
	int fd = socket_open(path, &address), err;

	if (fd < 0)
		return fd;
	unlink(path);
	if (!bind(fd, (struct sockaddr *)&address, sizeof(address)) && !listen(fd, 8))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int socket_connect(const char *path)
{
	struct sockaddr_un address;
	int fd = socket_open(path, &address), err;

	if (fd < 0 || !connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}
