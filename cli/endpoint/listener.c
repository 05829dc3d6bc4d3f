// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A Unix socket's file outlives whoever was killed while listening. Whether anybody does is known
 * by connecting; between that and the removal somebody else might have come, so all of us do both,
 * and bind and listen, under a lock of the folder.
 */
#include "cli/endpoint/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/ui/verb.h"

#define BACKLOG	   64
#define LOCK_TRIES 100
#define LOCK_MS	   20

/* ---- a Unix socket's file ----------------------------------------------------------------- */

/* An fd that has the lock while it is open, or -errno: anybody may have locked the folder. */
static int lock_folder(const char *path)
{
	char copy[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int fd, tries = LOCK_TRIES;

	strcpy(copy, path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		int err = -errno;

		if (err == -EINTR || (err == -EWOULDBLOCK && tries-- && !poll(NULL, 0, LOCK_MS)))
			continue;
		close(fd);
		return err;
	}
	return fd;
}

/* Nobody who is there refuses: one who is too busy to take us is -EAGAIN. */
static int is_left_behind(const struct address *address, const char *path)
{
	struct stat file;
	int fd, refused;

	if (lstat(path, &file) || !S_ISSOCK(file.st_mode))
		return 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	refused = connect(fd, (const struct sockaddr *)&address->storage, address->size) &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static int bind_path(int fd, const struct address *address, const char *path)
{
	const struct sockaddr *to = (const struct sockaddr *)&address->storage;

	if (!bind(fd, to, address->size))
		return 0;
	if (errno != EADDRINUSE || !is_left_behind(address, path))
		return -errno;
	note("%s was left behind, and is replaced", path);
	return unlink(path) || bind(fd, to, address->size) ? -errno : 0;
}

static int bind_and_listen(struct listener *l, int fd, const struct address *address)
{
	int err = bind_path(fd, address, l->path);

	if (!err && (lstat(l->path, &l->file) || listen(fd, BACKLOG)))
		err = -errno;
	return err;
}

static int listen_at_path(struct listener *l, int fd, const struct address *address)
{
	const char *path = ((const struct sockaddr_un *)&address->storage)->sun_path;
	int lock = lock_folder(path), err;

	if (lock < 0)
		return lock;
	strcpy(l->path, path);
	err = bind_and_listen(l, fd, address);
	if (err)
		l->path[0] = '\0';
	close(lock);
	return err;
}

static void remove_file(struct listener *l)
{
	int lock = lock_folder(l->path);
	struct stat file;

	/* Another's by now, perhaps. */
	if (lock >= 0 && !lstat(l->path, &file) && file.st_dev == l->file.st_dev &&
	    file.st_ino == l->file.st_ino)
		unlink(l->path);
	if (lock >= 0)
		close(lock);
}

/* ---- sockets ------------------------------------------------------------------------------ */

static int listen_at_host(int fd, const struct address *address)
{
	int one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* IPv4's wildcard has a socket of its own. */
	if (address->family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&address->storage, address->size) ||
	    listen(fd, BACKLOG))
		return -errno;
	return 0;
}

static int add(struct listener *l, const struct address *address)
{
	int fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	err = address->family == AF_UNIX ? listen_at_path(l, fd, address) :
					   listen_at_host(fd, address);
	if (err)
		close(fd);
	else
		l->fds[l->nr++] = fd;
	return err;
}

/* A name may have addresses that this host does not, IPv6 ones mostly: one that works is enough. */
static int is_none_of_ours(int err)
{
	return err == -EAFNOSUPPORT || err == -EADDRNOTAVAIL;
}

int listener_open(struct listener *l, const char *text)
{
	struct addresses addresses;
	int i, err = 0, code = address_take_own(text, &addresses);

	*l = (struct listener){ 0 };
	if (code)
		return code;
	for (i = 0; i < addresses.nr && (!err || is_none_of_ours(err)); i++)
		err = add(l, &addresses.at[i]);
	if (l->nr && (!err || is_none_of_ours(err)))
		return EXIT_OK;
	listener_close(l);
	return fail(EXIT_REFUSED, "cannot listen at %s: %s", text, strerror(-err));
}

void listener_close(struct listener *l)
{
	if (l->path[0])
		remove_file(l);
	l->path[0] = '\0';
	while (l->nr)
		close(l->fds[--l->nr]);
}
