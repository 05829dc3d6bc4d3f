// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What the threads of a pair of queues do. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "device/net/receive.h"
#include "device/net/send.h"

#define BURST 64u

/* ---- sending ------------------------------------------------------------------------------ */

static int serve_sent(struct net *net, struct device_queue *queue)
{
	struct net_sender *sender = malloc(sizeof(*sender));

	if (!sender)
		return -ENOMEM;
	net_sender_init(sender, net, queue);
	while (!device_queue_is_stopping(queue))
		if (!net_send(sender))
			device_queue_idle(queue, -1);
	free(sender);
	return 0;
}

/* ---- receiving ---------------------------------------------------------------------------- */

/* A frame that is there and has no room yet is kept. */
struct held {
	struct net_frame frame;
	bool is_there;
	bool has_ended; /* there will be none any more */
};

static uint32_t receive_burst(struct net_receiver *receiver, struct net_port *port,
			      struct held *held)
{
	uint32_t nr;
	int result;

	for (nr = 0; nr < BURST; nr++) {
		if (!held->is_there) {
			result = port->ops->receive(port, &held->frame);
			held->is_there = result > 0;
			held->has_ended = result < 0;
		}
		if (!held->is_there || !net_receive(receiver, &held->frame))
			break;
		held->is_there = false;
	}
	net_receive_flush(receiver);
	return nr;
}

static void wait_for_frame(struct device_queue *queue, int fd)
{
	device_queue_leave(queue);
	device_queue_wait(queue, fd);
}

/* There are some buffers, and not enough: no kick tells of more. */
static void wait_for_more(struct device_queue *queue)
{
	device_queue_leave(queue);
	poll(NULL, 0, 1);
}

static void receive_all(struct net_receiver *receiver, struct net_port *port)
{
	struct device_queue *queue = receiver->queue;
	struct held held = { 0 };

	while (!device_queue_is_stopping(queue)) {
		bool is_inside = device_queue_enter(queue);

		if (is_inside && receive_burst(receiver, port, &held))
			continue;
		if (is_inside && !held.is_there)
			wait_for_frame(queue, held.has_ended ? -1 : port->fd);
		else if (is_inside && receiver->burst.nr && !queue->has_missed)
			wait_for_more(queue);
		else
			device_queue_idle(queue, -1);
	}
	receiver->dropped += held.is_there;
	net_receive_flush(receiver);
}

/* Others use the queue meanwhile. */
static void wait_for_end(struct device_queue *queue)
{
	while (!device_queue_is_stopping(queue))
		device_queue_wait(queue, -1);
}

static int serve_received(struct net *net, struct device_queue *queue)
{
	struct net_receiver *receiver = malloc(sizeof(*receiver));
	struct net_pair *pair = &net->pairs[queue->index / 2];

	if (!receiver)
		return -ENOMEM;
	net_receiver_init(receiver, net, queue);
	net_receive_give_back(receiver);
	if (net->ops->lend)
		net->ops->lend(pair->port, receiver);
	net_set_received(net, pair, true);
	if (net->ops->lend)
		wait_for_end(queue);
	else
		receive_all(receiver, pair->port);
	net_set_received(net, pair, false);
	if (net->ops->lend)
		net->ops->lend(pair->port, NULL);
	free(receiver);
	return 0;
}

/* ---- served by others ---------------------------------------------------------------------- */

static int give_back(struct net *net, struct device_queue *queue)
{
	struct net_receiver *room = malloc(sizeof(*room));

	if (!room)
		return -ENOMEM;
	net_receiver_init(room, net, queue);
	net_receive_give_back(room);
	free(room);
	return 0;
}

static int serve_elsewhere(struct net *net, struct device_queue *queue)
{
	struct net_pair *pair = &net->pairs[queue->index / 2];
	int err = give_back(net, queue);

	if (err)
		return err;
	if (queue->index % 2)
		return net->ops->serve(pair->port, queue);
	net_set_received(net, pair, true);
	err = net->ops->serve(pair->port, queue);
	net_set_received(net, pair, false);
	return err;
}

/* ---- which is what ------------------------------------------------------------------------ */

static bool is_control(const struct net *net, uint32_t index)
{
	if (!net_has(net, VIRTIO_NET_F_CTRL_VQ))
		return false;
	return index == (net_has(net, VIRTIO_NET_F_MQ) ? 2 * net->nr_pairs : 2);
}

int net_serve(struct vas_device *device, struct device_queue *queue)
{
	struct net *net = (struct net *)device;

	if (is_control(net, queue->index))
		return net_serve_control(net, queue);
	if (queue->index / 2 >= net->nr_pairs)
		return -EINVAL;
	if (net->ops->serve)
		return serve_elsewhere(net, queue);
	return queue->index % 2 ? serve_sent(net, queue) : serve_received(net, queue);
}
