/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The next message of a front end, as vhost_user_receive() has it, however long it takes to come. */
#ifndef TESTS_DEVICE_AWAIT_MESSAGE_H
#define TESTS_DEVICE_AWAIT_MESSAGE_H

#include <errno.h>
#include <poll.h>

#include "device/vhost_user/message.h"

static inline int await_message(int sock, struct vhost_user_message *message)
{
	struct pollfd one = { .fd = sock, .events = POLLIN };
	int err;

	do {
		poll(&one, 1, -1);
		err = vhost_user_receive(sock, message);
	} while (err == -EAGAIN);
	return err;
}

#endif
