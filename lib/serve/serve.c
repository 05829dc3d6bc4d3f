// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The owner's socket: one thread, which waits for no peer. A peer is sent the vas when it connects;
 * what it says afterwards are messages of lib/bus/message.h. The connection of a provider that dies
 * ends, perhaps before its last I/O has; so while somebody waits to take over, it is looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <vas/serve.h>

#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/base/foreign.h"
#include "lib/base/left_behind.h"
#include "lib/base/spawn.h"
#include "lib/bus/bus.h"
#include "lib/handle/handle.h"
#include "lib/share/fd_passing.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define MAX_PEERS  256u
#define MAX_GROUPS 1024
#define BACKLOG	   64
#define MAY_READ   4u
#define MAY_WRITE  2u
#define LOOK_MS	   20 /* between two looks at a provider whose device somebody waits for */

struct peer {
	struct bus_peer bus; /* ours */
	bool may_write;
	bool waits; /* `offer` stands: another serves the device */
	struct bus_message offer;
};

struct vas_serve {
	struct vas *vas;
	int listener;
	int stop_fd;
	uint32_t mode;
	uid_t uid;
	gid_t gid;
	pthread_t thread;
	bool is_stopping; /* atomic */
	struct sockaddr_un address;
	struct stat file;
	pthread_mutex_t lock; /* peers: the thread's, but for their coming */
	struct peer *peers[MAX_PEERS];
	uint32_t nr;
};

/* ---- who is it? --------------------------------------------------------------------------- */

static bool is_in_group(int sock, gid_t own, gid_t wanted)
{
	gid_t groups[MAX_GROUPS];
	socklen_t size = sizeof(groups);
	size_t i;

	if (own == wanted)
		return true;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
		return false;
	for (i = 0; i < size / sizeof(groups[0]); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

/* What the peer may do, by the class that it is in, as with a file. */
static uint32_t rights_of(const struct vas_serve *serve, int sock, const struct ucred *peer)
{
	if (!peer->uid)
		return MAY_READ | MAY_WRITE;
	if (peer->uid == serve->uid)
		return serve->mode >> 6 & 7;
	if (is_in_group(sock, peer->gid, serve->gid))
		return serve->mode >> 3 & 7;
	return serve->mode & 7;
}

/* The process at the other end; before Linux 6.5 by its number, which may be another's by now. */
static int open_peer(int sock, pid_t pid)
{
	socklen_t size = sizeof(int);
	int fd;

	if (!getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &size))
		return fd;
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* ---- peers come and go -------------------------------------------------------------------- */

static void free_peer(struct peer *peer)
{
	close(peer->bus.sock);
	if (peer->bus.pidfd >= 0)
		close(peer->bus.pidfd);
	free(peer);
}

static int send_vas(struct vas_serve *serve, const struct peer *peer)
{
	return vas_pass_send(serve->vas, peer->bus.sock,
			     VAS_SEND_NO_EVENTS | (peer->may_write ? 0 : VAS_SEND_READONLY),
			     deadline_in(0));
}

/* Takes the socket. With is_trusted, it may all whoever it is. */
static int add_peer(struct vas_serve *serve, int sock, bool is_trusted, struct peer **out)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	struct peer *peer;
	uint32_t rights = MAY_READ | MAY_WRITE;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &credentials, &size)) {
		close(sock);
		return -errno;
	}
	if (!is_trusted)
		rights = rights_of(serve, sock, &credentials);
	peer = rights & MAY_READ ? calloc(1, sizeof(*peer)) : NULL;
	if (!peer) {
		close(sock);
		return rights & MAY_READ ? -ENOMEM : -EACCES;
	}
	*peer = (struct peer){
		.bus = { sock, open_peer(sock, credentials.pid), credentials.pid },
		.may_write = rights & MAY_WRITE,
	};
	pthread_mutex_lock(&serve->lock);
	if (serve->nr < MAX_PEERS)
		serve->peers[serve->nr++] = *out = peer;
	else
		*out = NULL;
	pthread_mutex_unlock(&serve->lock);
	if (*out)
		return 0;
	free_peer(peer);
	return -EAGAIN;
}

static void drop_peer(struct vas_serve *serve, struct peer *peer)
{
	uint32_t i;

	bus_forget(serve->vas, peer->bus.sock);
	pthread_mutex_lock(&serve->lock);
	for (i = 0; serve->peers[i] != peer; i++)
		;
	serve->peers[i] = serve->peers[--serve->nr];
	pthread_mutex_unlock(&serve->lock);
	free_peer(peer);
}

/* One that has come is gone at once if it takes not even the vas. With no fd left, it waits. */
static void accept_one(struct vas_serve *serve)
{
	int sock = accept4(serve->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *peer;

	if (sock < 0) {
		poll(NULL, 0, LOOK_MS);
		return;
	}
	if (!add_peer(serve, sock, false, &peer) && send_vas(serve, peer))
		drop_peer(serve, peer);
}

/* ---- what they say ------------------------------------------------------------------------ */

static void refuse(struct peer *peer, int err, const char *text)
{
	struct bus_message message = { .refused = { .err = err } };
	size_t len = strnlen(text, sizeof(message.refused.text) - 1);

	memcpy(message.refused.text, text, len);
	bus_send(peer->bus.sock, BUS_REFUSED, &message, NULL, 0);
}

/* One device by one connection; an offer that stands may be repeated. */
static void take_offer(struct vas_serve *serve, struct peer *peer)
{
	uint32_t index;
	int err;

	err = peer->may_write ? bus_offer(serve->vas, &peer->offer, &peer->bus, &index) :
				vas_error_set(-EPERM, "who only observes serves no device");
	peer->waits = err == -EBUSY;
	if (err && err != -EBUSY)
		refuse(peer, err, vas_error());
}

static int take_message(struct vas_serve *serve, struct peer *peer,
			const struct bus_message *message)
{
	switch (message->type) {
	case BUS_OFFER:
		peer->offer = *message;
		take_offer(serve, peer);
		return 0;
	case BUS_CONFIG:
		bus_set_config(serve->vas, peer->bus.sock, message->config);
		return 0;
	case BUS_MISSES:
		return bus_misses(serve->vas, peer->bus.sock, message);
	case BUS_BROKEN:
		bus_tell(serve->vas, peer->bus.sock, vas_virtio_broken);
		return 0;
	default:
		return -EPROTO;
	}
}

/* One message of each peer in turn. No peer sends fds. False: the peer is gone. */
static bool receive_one(struct vas_serve *serve, struct peer *peer)
{
	struct bus_message message;
	int fds[BUS_MAX_FDS];
	uint32_t nr_fds;
	int err = bus_receive(peer->bus.sock, &message, fds, &nr_fds);

	if (!err) {
		vas_foreign_discard(fds, nr_fds);
		err = take_message(serve, peer, &message);
	}
	if (!err || err == -EAGAIN)
		return true;
	drop_peer(serve, peer);
	return false;
}

/* ---- the thread --------------------------------------------------------------------------- */

struct round {
	struct pollfd fds[2 + MAX_PEERS];
	struct peer *peers[MAX_PEERS];
	uint32_t nr;
	bool looks; /* somebody waits for what no fd tells */
};

static void prepare(struct vas_serve *serve, struct round *round)
{
	uint32_t i;

	pthread_mutex_lock(&serve->lock);
	round->nr = serve->nr;
	memcpy(round->peers, serve->peers, round->nr * sizeof(struct peer *));
	pthread_mutex_unlock(&serve->lock);
	round->looks = false;
	round->fds[0] = (struct pollfd){ .fd = serve->stop_fd, .events = POLLIN };
	/* With all places taken, who comes waits in the backlog. */
	round->fds[1] = (struct pollfd){
		.fd = round->nr < MAX_PEERS ? serve->listener : -1,
		.events = POLLIN,
	};
	for (i = 0; i < round->nr; i++) {
		const struct peer *peer = round->peers[i];

		round->fds[2 + i] = (struct pollfd){ .fd = peer->bus.sock, .events = POLLIN };
		round->looks |= peer->waits;
	}
}

/* Whose turn it is to serve what nobody serves any more. */
static void retry_offers(struct vas_serve *serve, const struct round *round)
{
	uint32_t i;

	for (i = 0; i < round->nr; i++)
		if (round->peers[i] && round->peers[i]->waits)
			take_offer(serve, round->peers[i]);
}

static void handle_round(struct vas_serve *serve, struct round *round)
{
	uint32_t i;

	for (i = 0; i < round->nr; i++)
		if (round->fds[2 + i].revents && !receive_one(serve, round->peers[i]))
			round->peers[i] = NULL;
	retry_offers(serve, round);
	if (round->fds[1].revents)
		accept_one(serve);
}

static void *run(void *arg)
{
	struct vas_serve *serve = arg;
	struct round *round = calloc(1, sizeof(*round));

	while (round && !__atomic_load_n(&serve->is_stopping, __ATOMIC_ACQUIRE)) {
		uint64_t count;

		prepare(serve, round);
		if (poll(round->fds, 2 + round->nr, round->looks ? LOOK_MS : -1) < 0)
			continue;
		if (round->fds[0].revents)
			(void)!read(serve->stop_fd, &count, sizeof(count));
		handle_round(serve, round);
	}
	free(round);
	return NULL;
}

int vas_serve_socket(struct vas_serve *serve, int sock)
{
	NO_CANCEL;
	struct peer *peer;
	int err;

	fcntl(sock, F_SETFL, fcntl(sock, F_GETFL) | O_NONBLOCK);
	/* Before the thread knows of it: else that could drop the peer meanwhile. */
	err = vas_pass_send(serve->vas, sock, VAS_SEND_NO_EVENTS, deadline_in(0));
	if (err) {
		close(sock);
		return err;
	}
	err = add_peer(serve, sock, true, &peer);
	eventfd_write(serve->stop_fd, 1);
	return err ? vas_error_set(err, "this peer cannot be served: %s", strerror(-err)) : 0;
}

/* ---- the socket's file -------------------------------------------------------------------- */

static int check_mode(uint32_t mode)
{
	uint32_t writes = mode & 0222, reads = mode & 0444;

	if (mode & ~0666u || writes & ~(reads >> 1))
		return vas_error_set(-EINVAL, "mode %o: each class has nothing, r or rw", mode);
	return 0;
}

static int bind_socket(struct vas_serve *serve)
{
	const struct sockaddr *address = (const struct sockaddr *)&serve->address;
	socklen_t size = sizeof(serve->address);

	if (!bind(serve->listener, address, size))
		return 0;
	if (errno != EADDRINUSE || !is_left_behind(&serve->address) ||
	    unlink(serve->address.sun_path))
		return -errno;
	return bind(serve->listener, address, size) ? -errno : 0;
}

/* Who may read the vas may connect, which takes w of the socket's file. */
static int open_listener(struct vas_serve *serve)
{
	const char *path = serve->address.sun_path;
	int err;

	serve->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (serve->listener < 0)
		return -errno;
	/* The file is made with these, as far as the umask lets it, and never with more. */
	if (fchmod(serve->listener, (serve->mode & 0444) >> 1))
		return -errno;
	err = bind_socket(serve);
	if (err)
		return err;
	if (stat(path, &serve->file) || chmod(path, (serve->mode & 0444) >> 1) ||
	    listen(serve->listener, BACKLOG)) {
		err = -errno;
		unlink(path);
	}
	return err;
}

static void close_listener(struct vas_serve *serve)
{
	struct stat file;

	if (!stat(serve->address.sun_path, &file) && file.st_ino == serve->file.st_ino &&
	    file.st_dev == serve->file.st_dev)
		unlink(serve->address.sun_path);
	close(serve->listener);
}

/* ---- the beginning and the end ------------------------------------------------------------ */

static int begin(struct vas_serve *serve)
{
	int err = open_listener(serve);

	if (err)
		goto err_close_listener;
	serve->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (serve->stop_fd < 0) {
		err = -errno;
		goto err_remove;
	}
	pthread_mutex_init(&serve->lock, NULL);
	err = vas_spawn(&serve->thread, run, serve);
	if (!err)
		return 0;
	pthread_mutex_destroy(&serve->lock);
	close(serve->stop_fd);
err_remove:
	close_listener(serve);
	return err;
err_close_listener:
	if (serve->listener >= 0)
		close(serve->listener);
	return err;
}

int vas_serve(struct vas *vas, const char *path, uint32_t mode, struct vas_serve **out)
{
	NO_CANCEL;
	struct vas_serve *serve;
	int err = check_mode(mode);

	if (err)
		return err;
	if (vas->role == VAS_ROLE_OBSERVER)
		return vas_error_set(-EPERM, "an observer serves no vas");
	if (strlen(path) >= sizeof(serve->address.sun_path))
		return vas_error_set(-EINVAL, "'%s' is too long for the path of a socket", path);
	serve = calloc(1, sizeof(*serve));
	if (!serve)
		return vas_error_set(-ENOMEM, "no memory for a socket");
	serve->vas = vas;
	serve->mode = mode;
	serve->uid = geteuid();
	serve->gid = getegid();
	serve->address.sun_family = AF_UNIX;
	strcpy(serve->address.sun_path, path);
	err = begin(serve);
	if (err) {
		free(serve);
		return vas_error_set(err, "cannot serve a vas at %s: %s", path, strerror(-err));
	}
	*out = serve;
	return 0;
}

void vas_serve_end(struct vas_serve *serve)
{
	NO_CANCEL;
	if (!serve)
		return;
	__atomic_store_n(&serve->is_stopping, true, __ATOMIC_RELEASE);
	eventfd_write(serve->stop_fd, 1);
	pthread_join(serve->thread, NULL);
	close_listener(serve);
	while (serve->nr)
		drop_peer(serve, serve->peers[0]);
	close(serve->stop_fd);
	pthread_mutex_destroy(&serve->lock);
	free(serve);
}
