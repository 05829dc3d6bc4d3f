// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/net/send.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "device/stream.h"

void net_sender_init(struct net_sender *sender, struct net *net, struct device_queue *queue)
{
	sender->net = net;
	sender->pair = &net->pairs[queue->index / 2];
	sender->queue = queue;
	sender->burst = (struct vas_virtq_burst){
		.chains = sender->chains,
		.segments = sender->segments,
		.max_chains = NET_SEND_BURST,
		.max_segments = NET_SEND_SEGMENTS,
	};
}

/* What will be read first is asked for before any of it is used. */
static void prefetch(const struct net_sender *sender, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		const struct vas_virtq_segment *segment = sender->chains[i].segments;
		uint64_t len = segment->len;
		uint8_t *bytes = memory_at(sender->queue->memory, segment->gpa, &len, MEMORY_READ);

		if (!bytes)
			continue;
		__builtin_prefetch(bytes);
		if (len > 64)
			__builtin_prefetch(bytes + 64);
	}
}

/* What most frames are: header and frame in one piece. */
static bool read_at_once(struct net_sender *sender, const struct vas_virtq_chain *chain,
			 struct net_frame *frame)
{
	const struct vas_virtq_segment *segment = chain->segments;
	uint32_t header_len = sender->net->header_len;
	const uint8_t *bytes;

	if (chain->nr_out != 1 || segment->len < header_len || segment->len > NET_MAX_FRAME)
		return false;
	bytes = memory_range(sender->queue->memory, segment->gpa, segment->len);
	if (!bytes)
		return false;
	memcpy(&frame->header, bytes, header_len);
	frame->len = segment->len - header_len;
	sender->iov[0] = (struct iovec){ (void *)(bytes + header_len), frame->len };
	frame->nr = 1;
	return true;
}

/* -EPROTO: the chain makes no sense; -EMSGSIZE: nobody takes such a frame. */
static int read_frame(struct net_sender *sender, const struct vas_virtq_chain *chain,
		      struct net_frame *frame)
{
	struct stream stream = stream_out(chain);
	const struct memory *memory = sender->queue->memory;
	uint32_t header_len = sender->net->header_len;
	int nr;

	frame->iov = sender->iov;
	if (read_at_once(sender, chain, frame))
		return 0;
	if (chain->len_out < header_len || stream_read(&stream, memory, &frame->header, header_len))
		return -EPROTO;
	if (chain->len_out - header_len > NET_MAX_FRAME || chain->nr_out > NET_FRAME_IOV / 2)
		return -EMSGSIZE;
	frame->len = (uint32_t)(chain->len_out - header_len);
	nr = stream_map(&stream, memory, MEMORY_READ, frame->len, sender->iov, NET_FRAME_IOV);
	frame->nr = nr < 0 ? 0 : (uint32_t)nr;
	return nr < 0 ? nr : 0;
}

static void answer(struct net_sender *sender, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		sender->answers[i] = (struct vas_virtq_answer){
			.head = sender->chains[i].head,
			.nr_descs = sender->chains[i].nr_descs,
		};
	device_queue_take(sender->queue, sender->chains, nr);
	if (net_has(sender->net, VIRTIO_F_IN_ORDER))
		device_queue_answer_in_order(sender->queue, sender->answers, nr);
	else
		device_queue_answer(sender->queue, sender->answers, nr);
}

/* Those before the first that makes no sense: how many. */
static uint32_t send_all(struct net_sender *sender, uint32_t nr)
{
	struct net_port *port = sender->pair->port;
	uint64_t frames = 0, bytes = 0;
	struct net_frame frame = { 0 };
	uint32_t i;

	for (i = 0; i < nr; i++) {
		int err = read_frame(sender, &sender->chains[i], &frame);

		if (err == -EPROTO) {
			device_queue_break(sender->queue);
			break;
		}
		if (err || frame.len < NET_MIN_FRAME || !port->ops->send(port, &frame))
			continue;
		frames++;
		bytes += frame.len;
	}
	net_count(&sender->pair->sent, frames, bytes, i - frames);
	return i;
}

uint32_t net_send(struct net_sender *sender)
{
	struct net_port *port = sender->pair->port;
	uint32_t nr = device_queue_peek(sender->queue, &sender->burst);

	if (!nr)
		return 0;
	prefetch(sender, nr);
	if (port->ops->begin)
		port->ops->begin(port);
	nr = send_all(sender, nr);
	if (port->ops->end)
		port->ops->end(port);
	if (nr)
		answer(sender, nr);
	return nr;
}
