// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The front end's second socket, by which it is told that the config space has changed. It reads it
 * anew then, on the first one. No answer is waited for.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "device/vhost_user/session.h"
#include "lib/base/fd_stream.h"

static bool is_unix_stream(int fd)
{
	int domain = 0, type = 0;
	socklen_t size = sizeof(int);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && domain == AF_UNIX &&
	       !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_STREAM;
}

int request_set(struct session *session, struct vhost_user_message *message)
{
	if (!message->nr_fds || !is_unix_stream(message->fds[0]))
		return vas_error_set(-EINVAL,
				     "what the front end sends for requests is no Unix stream "
				     "socket");
	request_end(session);
	session->request_sock = vhost_user_take_fd(message, 0);
	return 0;
}

/* Where it has no room, it is full of messages that say the same. */
static void tell(const struct session *session)
{
	const uint32_t head[] = { VHOST_USER_BACKEND_CONFIG_CHANGE, VHOST_USER_VERSION, 0 };

	if (session->request_sock >= 0)
		vas_fd_stream_send(session->request_sock, head, sizeof(head), NULL, 0);
}

void request_look(struct session *session)
{
	struct vas_device *device = session->device;

	if (device->ops->look && device->ops->look(device))
		tell(session);
}

void request_end(struct session *session)
{
	if (session->request_sock >= 0)
		close(session->request_sock);
	session->request_sock = -1;
}
