/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A virtio socket device whose host side is Unix sockets, as Firecracker has made it known:
 *
 *	guest connects to CID 2, port N		somebody listens at PATH_N
 *	somebody connects to PATH, and		a program in the guest listens at port N
 *	writes "CONNECT N\n": "OK M\n"
 *
 *	vsock.c		the device, and what its two threads do
 *	connection.c	connections: their sockets, credit and what is to be told the guest
 */
#ifndef DEVICE_VSOCK_VSOCK_H
#define DEVICE_VSOCK_VSOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "device/device.h"

#define VSOCK_MIN_CID 3u

struct vsock_connection;

struct vsock {
	struct vas_device device;
	uint64_t cid;
	const char *path;
	int listener, epoll, wake; /* wake is an eventfd: the guest is to be told something */

	pthread_mutex_t lock; /* all of what follows */
	struct vsock_connection *connections;
	uint32_t next_port; /* of the host's end */
	uint32_t turn;	    /* whose it is to be told something */
	/* Ports of packets that belong to no connection: the guest gets a reset for each. */
	struct vsock_stray {
		uint32_t ours, theirs;
	} strays[64];
	uint32_t nr_strays;
};

struct vsock_options {
	const char *path; /* of the socket at which the host's programs connect */
	uint64_t cid;	  /* the guest's, VSOCK_MIN_CID or more, and less than 2^32 - 1 */
	uint32_t queue_size;
};

/* -errno, and vas_error() says why. */
int vsock_open(struct vsock *vsock, const struct vsock_options *options);
void vsock_close(struct vsock *vsock);

#endif
