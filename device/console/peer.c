// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/console/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "device/listener.h"

#define EVENTS 8

/* ---- who is there ------------------------------------------------------------------------- */

/*
 * Each change is told once: a pty that nobody has opened would be told of without end. A file,
 * which has no epoll, is always ready.
 */
static int watch(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events | EPOLLET };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) && errno != EPERM ? -errno : 0;
}

static int watch_peer(struct console_peer *peer)
{
	int err = peer->in < 0 ? 0 : watch(peer->in_epoll, peer->in, EPOLLIN);

	if (!err && peer->out >= 0)
		err = watch(peer->out_epoll, peer->out, EPOLLOUT);
	return err;
}

/* What has changed before is found by the call that follows. */
static void clear(int epoll)
{
	struct epoll_event events[EVENTS];

	epoll_wait(epoll, events, EVENTS, 0);
}

static void drop(struct console_peer *peer)
{
	close(peer->in);
	peer->in = peer->out = -1;
	eventfd_write(peer->wake, 1);
}

/* The next connection, if there is none. */
static bool is_there(struct console_peer *peer)
{
	if (peer->listener < 0 || peer->in >= 0)
		return true;
	peer->in = peer->out = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (peer->in < 0)
		return false;
	if (!watch_peer(peer))
		return true;
	drop(peer);
	return false;
}

/* Both ends of a connection are closed; nobody has a pty open. */
static bool is_hung_up(int fd)
{
	struct pollfd look = { .fd = fd };

	return poll(&look, 1, 0) == 1 && look.revents & POLLHUP;
}

/* ---- bytes -------------------------------------------------------------------------------- */

/* A socket that is inherited may be one that waits. */
static ssize_t read_some(int fd, void *to, size_t len)
{
	ssize_t nr = recv(fd, to, len, MSG_DONTWAIT);

	return nr < 0 && errno == ENOTSOCK ? read(fd, to, len) : nr;
}

static ssize_t write_some(int fd, const void *from, size_t len)
{
	ssize_t nr = send(fd, from, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	return nr < 0 && errno == ENOTSOCK ? write(fd, from, len) : nr;
}

/* One who sends no more may still read. */
static bool has_gone(const struct console_peer *peer, ssize_t nr)
{
	if (peer->listener < 0 || nr > 0)
		return false;
	return nr ? errno != EAGAIN && errno != EINTR : is_hung_up(peer->in);
}

static size_t without_escape(const struct console_peer *peer, uint8_t *bytes, size_t nr)
{
	const uint8_t *at;

	if (peer->options->kind != CONSOLE_STDIO || peer->raw < 0 || !peer->options->escape)
		return nr;
	at = memchr(bytes, CONSOLE_ESCAPE, nr);
	if (!at)
		return nr;
	peer->options->escape();
	return (size_t)(at - bytes);
}

size_t console_peer_read(struct console_peer *peer, void *to, size_t len)
{
	ssize_t nr = 0;

	clear(peer->in_epoll);
	pthread_mutex_lock(&peer->lock);
	while (peer->in >= 0 || peer->listener >= 0) {
		if (!is_there(peer))
			break;
		nr = read_some(peer->in, to, len);
		if (!has_gone(peer, nr))
			break;
		drop(peer);
		nr = 0;
	}
	pthread_mutex_unlock(&peer->lock);
	return nr > 0 ? without_escape(peer, to, (size_t)nr) : 0;
}

/* What nobody takes is dropped, and what an end does that fails. */
static size_t write_or_drop(struct console_peer *peer, const void *from, size_t len)
{
	ssize_t nr;

	if (!is_there(peer) || (peer->options->kind == CONSOLE_PTY && is_hung_up(peer->out)))
		return len;
	nr = write_some(peer->out, from, len);
	if (nr >= 0 || errno == EAGAIN || errno == EINTR)
		return nr > 0 ? (size_t)nr : 0;
	if (peer->listener >= 0)
		drop(peer);
	return len;
}

size_t console_peer_write(struct console_peer *peer, const void *from, size_t len)
{
	size_t nr;

	clear(peer->out_epoll);
	pthread_mutex_lock(&peer->lock);
	nr = write_or_drop(peer, from, len);
	pthread_mutex_unlock(&peer->lock);
	return nr;
}

/* ---- opening ------------------------------------------------------------------------------ */

static int make_raw(struct console_peer *peer, int fd)
{
	struct termios raw;

	if (tcgetattr(fd, &peer->before))
		return 0; /* no terminal */
	raw = peer->before;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw))
		return vas_error_set(-errno, "the terminal stays as it is: %s", strerror(errno));
	peer->raw = fd;
	return 0;
}

/*
 * An fd of our own, that does not wait, for one that others have, too: the flag is theirs as well.
 * A socket cannot be had so, and need not.
 */
static int open_again(int fd, int flags)
{
	char path[32];
	struct stat st;
	int again;

	if (fstat(fd, &st))
		return vas_error_set(-errno, "fd %d: %s", fd, strerror(errno));
	if (S_ISSOCK(st.st_mode) || S_ISREG(st.st_mode)) {
		again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	} else {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		again = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	return again < 0 ? vas_error_set(-errno, "fd %d: %s", fd, strerror(errno)) : again;
}

static int open_stdio(struct console_peer *peer)
{
	peer->in = open_again(STDIN_FILENO, O_RDONLY);
	if (peer->in < 0)
		return peer->in;
	peer->out = open_again(STDOUT_FILENO, O_WRONLY);
	return peer->out < 0 ? peer->out : make_raw(peer, peer->in);
}

static int open_file(struct console_peer *peer)
{
	const char *path = peer->options->path;
	struct stat st;

	peer->out =
		open(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
	if (peer->out < 0 || fstat(peer->out, &st))
		return vas_error_set(-errno, "cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return vas_error_set(-EINVAL, "%s is neither a file nor a terminal", path);
	if (S_ISCHR(st.st_mode))
		peer->in = peer->out;
	return make_raw(peer, peer->out);
}

/* Once it was open, its master can tell whether it is. */
static int begin_pty(int master)
{
	struct termios raw;
	int fd = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	tcgetattr(fd, &raw);
	cfmakeraw(&raw);
	tcsetattr(fd, TCSANOW, &raw);
	close(fd);
	return 0;
}

/* A link that a process has left which was killed leads to no pty, or to another's by now. */
static int link_pty(const char *name, const char *path)
{
	static const char ptys[] = "/dev/pts/";
	char to[sizeof(ptys) - 1];

	if (readlink(path, to, sizeof(to)) == sizeof(to) && !memcmp(to, ptys, sizeof(to)))
		unlink(path);
	return symlink(name, path) ? -errno : 0;
}

static int open_pty(struct console_peer *peer)
{
	const char *path = peer->options->path;
	int err = 0, fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	peer->in = peer->out = fd;
	if (fd < 0 || grantpt(fd) || unlockpt(fd))
		err = -errno;
	if (!err)
		err = begin_pty(fd);
	if (err)
		return vas_error_set(err, "no pty: %s", strerror(-err));
	err = link_pty(ptsname(fd), path);
	if (err)
		return vas_error_set(err, "cannot make the link %s: %s", path, strerror(-err));
	peer->made = path;
	return 0;
}

static int open_socket(struct console_peer *peer)
{
	peer->listener = device_listen(peer->options->path, 0);
	if (peer->listener < 0)
		return peer->listener;
	peer->made = peer->options->path;
	return 0;
}

static int open_kind(struct console_peer *peer)
{
	switch (peer->options->kind) {
	case CONSOLE_STDIO:
		return open_stdio(peer);
	case CONSOLE_FILE:
		return open_file(peer);
	case CONSOLE_PTY:
		return open_pty(peer);
	default:
		return open_socket(peer);
	}
}

static int open_epolls(struct console_peer *peer)
{
	int err;

	peer->in_epoll = epoll_create1(EPOLL_CLOEXEC);
	peer->out_epoll = epoll_create1(EPOLL_CLOEXEC);
	peer->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (peer->in_epoll < 0 || peer->out_epoll < 0 || peer->wake < 0)
		return -errno;
	err = watch(peer->in_epoll, peer->wake, EPOLLIN);
	if (!err)
		err = watch(peer->out_epoll, peer->wake, EPOLLIN);
	if (!err && peer->listener >= 0)
		err = watch(peer->in_epoll, peer->listener, EPOLLIN);
	return err ? err : watch_peer(peer);
}

int console_peer_open(struct console_peer *peer, const struct console_peer_options *options)
{
	int err;

	*peer = (struct console_peer){
		.options = options,
		.in = -1,
		.out = -1,
		.listener = -1,
		.in_epoll = -1,
		.out_epoll = -1,
		.wake = -1,
		.raw = -1,
	};
	pthread_mutex_init(&peer->lock, NULL);
	err = open_kind(peer);
	if (!err) {
		err = open_epolls(peer);
		if (err)
			vas_error_set(err, "no epoll: %s", strerror(-err));
	}
	if (err)
		console_peer_close(peer);
	return err;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void console_peer_close(struct console_peer *peer)
{
	if (peer->raw >= 0)
		tcsetattr(peer->raw, TCSANOW, &peer->before);
	if (peer->made)
		unlink(peer->made);
	if (peer->in != peer->out)
		close_fd(peer->in);
	close_fd(peer->out);
	close_fd(peer->listener);
	close_fd(peer->in_epoll);
	close_fd(peer->out_epoll);
	close_fd(peer->wake);
	pthread_mutex_destroy(&peer->lock);
}
