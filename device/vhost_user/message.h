/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Messages of a vhost-user front end on a Unix socket, and answers to them.
 *
 * What arrives is checked here: version, flags, sizes, and how many fds the request may have. What
 * the numbers in a payload mean is not.
 */
#ifndef DEVICE_VHOST_USER_MESSAGE_H
#define DEVICE_VHOST_USER_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/vhost_user/protocol.h"

#define VHOST_USER_MESSAGE_NS (5 * 1000000000ull) /* a message that has begun, and a reply */

/*
 * The next message, whose fds are the caller's. Its first byte is not waited for: -EAGAIN: there is
 * none. -ECONNRESET: the peer has gone, between two messages; -EPROTO: what came is no message, and
 * vas_error() says why; -ETIMEDOUT: the rest did not come in time; or another -errno. After any but
 * -EAGAIN there is nothing more to be read.
 */
int vhost_user_receive(int sock, struct vhost_user_message *message);

/* The answer to a message, with `size` bytes of its payload, and fd unless it is -1. -errno. */
int vhost_user_reply(int sock, struct vhost_user_message *message, uint32_t size, int fd);

/* Take one of its fds out. -1: there is none. */
int vhost_user_take_fd(struct vhost_user_message *message, uint32_t index);
void vhost_user_close_fds(struct vhost_user_message *message);

#endif
