// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The thread that sends has the guest's buffers as well, which the one that receives lends it: a
 * frame goes from chain to buffer by one copy, and no third processor is needed.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <vas/consumer.h>

#include "device/net/receive.h"

struct loopback {
	struct net_port port;
	pthread_mutex_t lock; /* receiver, and all of what it has */
	struct net_receiver *receiver;
};

static int open_loopback(struct net *net, const struct net_options *options, struct net_port **port)
{
	struct loopback *loopback = calloc(1, sizeof(*loopback));

	(void)net;
	(void)options;
	if (!loopback)
		return vas_error_set(-ENOMEM, "no memory for a network");
	loopback->port.fd = -1;
	pthread_mutex_init(&loopback->lock, NULL);
	*port = &loopback->port;
	return 0;
}

static void close_loopback(struct net_port *port)
{
	pthread_mutex_destroy(&((struct loopback *)port)->lock);
	free(port);
}

static void lend(struct net_port *port, struct net_receiver *receiver)
{
	struct loopback *loopback = (struct loopback *)port;

	pthread_mutex_lock(&loopback->lock);
	loopback->receiver = receiver;
	pthread_mutex_unlock(&loopback->lock);
}

static void begin(struct net_port *port)
{
	pthread_mutex_lock(&((struct loopback *)port)->lock);
}

/* Checksums that are left to others are not offered: there is nothing that a header could say. */
static bool send_back(struct net_port *port, const struct net_frame *frame)
{
	const struct net_frame back = { .iov = frame->iov, .nr = frame->nr, .len = frame->len };
	struct net_receiver *receiver = ((struct loopback *)port)->receiver;

	return receiver && device_queue_enter(receiver->queue) && net_receive(receiver, &back);
}

static void end(struct net_port *port)
{
	struct loopback *loopback = (struct loopback *)port;

	if (loopback->receiver) {
		net_receive_flush(loopback->receiver);
		device_queue_leave(loopback->receiver->queue);
	}
	pthread_mutex_unlock(&loopback->lock);
}

const struct net_port_ops net_loopback = {
	.name = "loopback",
	.open = open_loopback,
	.close = close_loopback,
	.send = send_back,
	.begin = begin,
	.end = end,
	.lend = lend,
};
