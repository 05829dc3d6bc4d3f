// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Who connects to the socket of an owner. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <vas/serve.h>

#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/share/fd_passing.h"

#define ANSWER_NS (5 * NSEC_PER_SEC)

/* Does not wait: a backlog that is full is -EAGAIN. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return vas_error_set(-EINVAL, "'%s' is too long for the path of a socket", path);
	strcpy(address.sun_path, path);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return vas_error_set(-errno, "no socket: %s", strerror(errno));
	if (!connect(sock, (const struct sockaddr *)&address, sizeof(address)))
		return sock;
	err = -errno;
	close(sock);
	return vas_error_set(err, "cannot connect to %s: %s", path,
			     err == -EPROTOTYPE ? "no vas is served there" : strerror(-err));
}

int vas_connect(const char *path, uint32_t bind_flags, struct vas **vas, int *out)
{
	NO_CANCEL;
	int sock = connect_to(path), err;

	if (sock < 0)
		return sock;
	err = vas_pass_recv(sock, bind_flags, deadline_in(ANSWER_NS), vas);
	if (!err && out)
		*out = sock;
	else
		close(sock);
	return err;
}

int vas_reconnect(struct vas *vas, const char *path, int *out)
{
	NO_CANCEL;
	struct vas *other;
	int err = vas_connect(path, VAS_BIND_OBSERVE | VAS_BIND_NO_WINDOW, &other, out);

	if (err)
		return err;
	if (memcmp(other->sb.uuid, vas->sb.uuid, sizeof(vas->sb.uuid))) {
		close(*out);
		err = vas_error_set(-ESTALE, "another vas is served at %s", path);
	}
	vas_unbind(other);
	return err;
}
