/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a guest's console is connected to. No call waits for the other end, and any thread may make
 * each. Where nobody is there, because a connection has yet to come or nobody has the pty open,
 * what the guest says is dropped.
 */
#ifndef DEVICE_CONSOLE_PEER_H
#define DEVICE_CONSOLE_PEER_H

#include <pthread.h>
#include <stddef.h>
#include <termios.h>

#define CONSOLE_ESCAPE 0x1d /* Ctrl-] */

enum console_peer_kind {
	CONSOLE_STDIO,	/* stdin and stdout of this process */
	CONSOLE_FILE,	/* a file, which is appended to, or a terminal */
	CONSOLE_PTY,	/* a new one */
	CONSOLE_SOCKET, /* who connects to a Unix socket: one after the other */
};

struct console_peer_options {
	enum console_peer_kind kind;
	const char *path; /* of the file or socket; of a symbolic link to the pty that is made */
	/* Stdin is a terminal, where CONSOLE_ESCAPE was typed: it is not the guest's. */
	void (*escape)(void);
};

struct console_peer {
	const struct console_peer_options *options;
	int in, out;	  /* the same one, or two; -1: there is none, or nobody */
	int listener;	  /* or -1 */
	const char *made; /* a file that goes with it, or NULL */
	/* Readable once a read, or a write, may get on that could not; level before a call. */
	int in_epoll, out_epoll;
	int wake;	      /* an eventfd in both: a connection has gone */
	pthread_mutex_t lock; /* in and out of a connection: each of two threads may end it */
	/* Of a terminal, as it was before it was made raw. */
	struct termios before;
	int raw; /* it, or -1 */
};

/* `options` has to stay. -errno, and vas_error() says why. */
int console_peer_open(struct console_peer *peer, const struct console_peer_options *options);
void console_peer_close(struct console_peer *peer);

/* How many bytes there were; 0: wait for in_epoll. */
size_t console_peer_read(struct console_peer *peer, void *to, size_t len);

/* How many of them, at least one, were taken, or dropped; 0: wait for out_epoll. */
size_t console_peer_write(struct console_peer *peer, const void *from, size_t len);

#endif
