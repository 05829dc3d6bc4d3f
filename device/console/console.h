/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A virtio console with one port, hvc0 of a Linux guest, and what is at its other end:
 *
 *	console.c	the device, and what its two threads do
 *	peer.c		the other end: a terminal, a file, a pty, or who connects to a socket
 *
 * No byte is kept between the two: what the peer has no room for stays in the guest's ring, and
 * what the guest has no room for stays with the peer.
 */
#ifndef DEVICE_CONSOLE_CONSOLE_H
#define DEVICE_CONSOLE_CONSOLE_H

#include "device/console/peer.h"
#include "device/device.h"

struct console {
	struct vas_device device;
	struct console_peer peer;
};

struct console_options {
	struct console_peer_options peer;
	uint32_t queue_size;
};

/* -errno, and vas_error() says why. */
int console_open(struct console *console, const struct console_options *options);
void console_close(struct console *console);

#endif
