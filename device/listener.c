// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/left_behind.h"

static int bind_to(int fd, const struct sockaddr_un *address)
{
	const struct sockaddr *to = (const struct sockaddr *)address;
	int err = bind(fd, to, sizeof(*address)) ? -errno : 0;

	if (err == -EADDRINUSE && is_left_behind(address) && !unlink(address->sun_path))
		err = bind(fd, to, sizeof(*address)) ? -errno : 0;
	return err;
}

int device_listen(const char *path, size_t spare)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) + spare >= sizeof(address.sun_path))
		return vas_error_set(-ENAMETOOLONG, "'%s' is too long for the path of a socket",
				     path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return vas_error_set(-errno, "no socket: %s", strerror(errno));
	err = bind_to(fd, &address);
	if (!err && !listen(fd, SOMAXCONN))
		return fd;
	err = err ? err : -errno;
	close(fd);
	return vas_error_set(err, "cannot listen at %s: %s", path, strerror(-err));
}
