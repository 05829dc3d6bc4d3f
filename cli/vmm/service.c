// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/vmm/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/target/parse.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

static const char *notify_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	return path && (*path == '/' || *path == '@') && path[1] ? path : NULL;
}

int service_is_there(void)
{
	return notify_socket() != NULL;
}

/* The number of fds that are meant for this process. */
static int nr_kept(void)
{
	const char *pid = getenv("LISTEN_PID"), *nr = getenv("LISTEN_FDS");
	int number;

	if (!pid || !nr || parse_number(pid, &number) || number != getpid())
		return 0;
	return parse_number(nr, &number) ? 0 : number;
}

int service_kept_fd(const char *name)
{
	const char *names = getenv("LISTEN_FDNAMES");
	int nr = nr_kept();

	for (int i = 0; names && i < nr; i++) {
		size_t len = strcspn(names, ":");

		if (len == strlen(name) && !strncmp(names, name, len))
			return fcntl(FIRST_FD + i, F_SETFD, FD_CLOEXEC) ? -errno : FIRST_FD + i;
		names = names[len] ? names + len + 1 : NULL;
	}
	return -ENOENT;
}

static int send_to(const struct sockaddr_un *to, socklen_t len, const struct msghdr *msg)
{
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), err = 0;

	if (sock < 0)
		return -errno;
	if (connect(sock, (const struct sockaddr *)to, len) || sendmsg(sock, msg, MSG_NOSIGNAL) < 0)
		err = -errno;
	close(sock);
	return err;
}

int service_tell(const char *lines, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct cmsghdr *cmsg = (struct cmsghdr *)control;
	struct iovec iov = { (void *)(uintptr_t)lines, strlen(lines) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = notify_socket();
	size_t len = path ? strlen(path) : 0;

	if (!path)
		return 0;
	if (len >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, path, len);
	if (*path == '@')
		to.sun_path[0] = '\0';
	if (fd >= 0) {
		*cmsg = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
					  .cmsg_level = SOL_SOCKET,
					  .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
	}
	return send_to(&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len), &msg);
}
