// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Commands of the driver's: a header and what belongs to it, and a byte for the answer. All frames
 * are passed on, so filters are taken and not kept.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "device/net/port.h"
#include "device/stream.h"

#define SEGMENTS 64u

struct command {
	struct net *net;
	const struct memory *memory;
	struct stream data;
	uint64_t left; /* bytes of it */
};

/* False: there is less. */
static bool take(struct command *command, void *to, uint32_t len)
{
	if (command->left < len || stream_read(&command->data, command->memory, to, len))
		return false;
	command->left -= len;
	return true;
}

static bool set_filter(struct command *command, uint8_t kind)
{
	uint8_t on;

	return kind <= VIRTIO_NET_CTRL_RX_ALLMULTI && take(command, &on, sizeof(on)) && on <= 1;
}

/* Two tables: a count, and as many addresses. They are not kept, and so not read. */
static bool set_table(struct command *command)
{
	uint64_t table;
	uint32_t nr;
	int i;

	for (i = 0; i < 2; i++) {
		if (!take(command, &nr, sizeof(nr)))
			return false;
		for (table = (uint64_t)nr * NET_MAC_LEN; table;) {
			uint64_t len = table;

			if (command->left < table)
				return false;
			stream_next(&command->data, &len);
			command->left -= len;
			table -= len;
		}
	}
	return true;
}

static bool set_mac(struct command *command)
{
	struct net *net = command->net;
	uint8_t mac[NET_MAC_LEN];

	if (!net_has(net, VIRTIO_NET_F_CTRL_MAC_ADDR) || !take(command, mac, sizeof(mac)))
		return false;
	pthread_mutex_lock(&net->lock);
	memcpy(net->mac, mac, sizeof(mac));
	pthread_mutex_unlock(&net->lock);
	net_keep(net);
	return true;
}

static bool set_pairs(struct command *command)
{
	uint16_t nr;

	if (!net_has(command->net, VIRTIO_NET_F_MQ) || !take(command, &nr, sizeof(nr)) || !nr ||
	    nr > command->net->nr_pairs)
		return false;
	net_use_pairs(command->net, nr);
	net_keep(command->net);
	return true;
}

static bool run(struct command *command)
{
	struct virtio_net_ctrl_hdr header;

	if (!take(command, &header, sizeof(header)))
		return false;
	switch (header.class << 8 | header.cmd) {
	case VIRTIO_NET_CTRL_RX << 8 | VIRTIO_NET_CTRL_RX_PROMISC:
	case VIRTIO_NET_CTRL_RX << 8 | VIRTIO_NET_CTRL_RX_ALLMULTI:
		return set_filter(command, header.cmd);
	case VIRTIO_NET_CTRL_MAC << 8 | VIRTIO_NET_CTRL_MAC_TABLE_SET:
		return set_table(command);
	case VIRTIO_NET_CTRL_MAC << 8 | VIRTIO_NET_CTRL_MAC_ADDR_SET:
		return set_mac(command);
	case VIRTIO_NET_CTRL_ANNOUNCE << 8 | VIRTIO_NET_CTRL_ANNOUNCE_ACK:
		return true; /* whoever has asked for it needs no answer */
	case VIRTIO_NET_CTRL_MQ << 8 | VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET:
		return set_pairs(command);
	default:
		return false;
	}
}

/* -EPROTO: there is no room for an answer. */
static int answer(struct net *net, struct device_queue *queue, const struct vas_virtq_chain *chain)
{
	struct command command = { net, queue->memory, stream_out(chain), chain->len_out };
	struct vas_virtq_answer answer = { chain->head, chain->nr_descs, 1 };
	struct stream in = stream_in(chain);
	uint8_t ack;

	if (!chain->len_in)
		return -EPROTO;
	ack = run(&command) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	if (stream_write(&in, queue->memory, &ack, sizeof(ack)))
		return -EPROTO;
	device_queue_answer(queue, &answer, 1);
	return 0;
}

int net_serve_control(struct net *net, struct device_queue *queue)
{
	struct vas_virtq_segment segments[SEGMENTS];
	struct vas_virtq_chain chain = { .segments = segments, .max_segments = SEGMENTS };

	while (!device_queue_is_stopping(queue))
		if (!device_queue_next(queue, &chain))
			device_queue_idle(queue, -1);
		else if (answer(net, queue, &chain))
			device_queue_abandon(queue);
	return 0;
}
