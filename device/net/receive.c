// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Buffers stay in the ring until they are filled: they are looked at, and taken and answered when
 * the guest is told. So a queue that stops has taken nothing that it has not answered.
 */
#include "device/net/receive.h"

#include <errno.h>
#include <string.h>

#include "device/stream.h"

void net_receiver_init(struct net_receiver *receiver, struct net *net, struct device_queue *queue)
{
	receiver->queue = queue;
	receiver->counters = &net->pairs[queue->index / 2].received;
	receiver->header_len = net->header_len;
	receiver->may_merge = net_has(net, VIRTIO_NET_F_MRG_RXBUF);
	receiver->burst = (struct vas_virtq_burst){
		.chains = receiver->chains,
		.segments = receiver->segments,
		.max_chains = NET_BUFFERS,
		.max_segments = NET_BUFFER_SEGMENTS,
	};
	receiver->filled = 0;
	receiver->generation = 0;
	receiver->frames = receiver->bytes = receiver->dropped = 0;
}

/* Those that are filled are the guest's. The others are the front of what is looked at. */
void net_receive_flush(struct net_receiver *receiver)
{
	struct vas_virtq_burst *burst = &receiver->burst;
	uint32_t nr = receiver->filled;

	net_count(receiver->counters, receiver->frames, receiver->bytes, receiver->dropped);
	receiver->frames = receiver->bytes = receiver->dropped = 0;
	if (!nr)
		return;
	device_queue_take(receiver->queue, burst->chains, nr);
	device_queue_answer(receiver->queue, receiver->answers, nr);
	burst->chains += nr;
	burst->nr -= nr;
	receiver->filled = 0;
}

void net_receive_give_back(struct net_receiver *receiver)
{
	struct vas_virtq_chain room = {
		.segments = receiver->segments,
		.max_segments = NET_BUFFER_SEGMENTS,
	};

	device_queue_give_back(receiver->queue, &room);
}

static void find_places(struct net_receiver *receiver)
{
	const struct memory *memory = receiver->queue->memory;
	struct vas_virtq_burst *burst = &receiver->burst;

	receiver->serial = memory_serial(memory);
	net_find_places(burst, memory, MEMORY_WRITE,
			&receiver->places[burst->chains - receiver->chains]);
}

static void look(struct net_receiver *receiver)
{
	uint32_t i;

	net_receive_flush(receiver);
	receiver->burst.chains = receiver->chains;
	device_queue_peek(receiver->queue, &receiver->burst);
	receiver->generation = device_queue_generation(receiver->queue);
	find_places(receiver);
	for (i = 0; i < NET_AHEAD && i < receiver->burst.nr; i++)
		net_prefetch_to_write(receiver->places[i].iov_base);
}

/* How many of the free buffers it takes. 0: those that were looked at are too few. */
static uint32_t count_buffers(const struct net_receiver *receiver, uint64_t len)
{
	uint32_t i, nr = receiver->burst.nr - receiver->filled;
	const struct vas_virtq_chain *chain = receiver->burst.chains + receiver->filled;

	for (i = 0; i < nr; i++, chain++) {
		if (chain->len_in >= len)
			return i + 1;
		if (!receiver->may_merge)
			return nr; /* and it does not fit */
		len -= chain->len_in;
	}
	return 0;
}

static bool makes_sense(const struct net_receiver *receiver, const struct vas_virtq_chain *chain)
{
	return !chain->nr_out && chain->len_in >= receiver->header_len;
}

/* A piece of the frame, and where it goes on in which buffer. */
struct writer {
	struct net_receiver *receiver;
	const struct vas_virtq_chain *chain;
	struct stream stream;
	uint64_t room; /* left in the buffer */
	struct vas_virtq_answer *answer;
};

static void begin_buffer(struct writer *writer, const struct vas_virtq_chain *chain)
{
	writer->chain = chain;
	writer->stream = stream_in(chain);
	writer->room = chain->len_in;
	*writer->answer = (struct vas_virtq_answer){ chain->head, chain->nr_descs, 0 };
}

static int write_bytes(struct writer *writer, const uint8_t *from, uint64_t len)
{
	while (len) {
		uint64_t nr = len;

		if (!writer->room) {
			writer->answer++;
			begin_buffer(writer, writer->chain + 1);
			if (!makes_sense(writer->receiver, writer->chain))
				return -EPROTO;
		}
		if (nr > writer->room)
			nr = writer->room;
		if (stream_write(&writer->stream, writer->receiver->queue->memory, from, nr))
			return -EPROTO;
		writer->answer->len += (uint32_t)nr;
		writer->room -= nr;
		from += nr;
		len -= nr;
	}
	return 0;
}

static int write_frame(struct net_receiver *receiver, const struct virtio_net_hdr_v1 *header,
		       const struct net_frame *frame)
{
	struct writer writer = {
		.receiver = receiver,
		.answer = &receiver->answers[receiver->filled],
	};
	uint32_t i;
	int err;

	begin_buffer(&writer, &receiver->burst.chains[receiver->filled]);
	if (!makes_sense(receiver, writer.chain))
		return -EPROTO;
	err = write_bytes(&writer, (const uint8_t *)header, receiver->header_len);
	for (i = 0; i < frame->nr && !err; i++)
		err = write_bytes(&writer, frame->iov[i].iov_base, frame->iov[i].iov_len);
	return err;
}

/* What most frames are: of one piece, into a buffer that is one. */
static bool write_at_once(struct net_receiver *receiver, const struct virtio_net_hdr_v1 *header,
			  const struct net_frame *frame)
{
	const struct vas_virtq_chain *chain = &receiver->burst.chains[receiver->filled];
	const struct iovec *place = &receiver->places[chain - receiver->chains];
	uint32_t len = receiver->header_len + frame->len;
	uint8_t *bytes = place->iov_base;

	if (chain + NET_AHEAD < receiver->burst.chains + receiver->burst.nr)
		net_prefetch_to_write(place[NET_AHEAD].iov_base);
	if (frame->nr != 1 || chain->nr_out || place->iov_len < len)
		return false;
	memcpy(bytes, header, receiver->header_len);
	memmove(bytes + receiver->header_len, frame->iov->iov_base, frame->len);
	memory_mark(receiver->queue->memory, chain->segments->gpa, len);
	receiver->answers[receiver->filled] =
		(struct vas_virtq_answer){ chain->head, chain->nr_descs, len };
	return true;
}

/* More than these there never are: a frame that needs more is not waited with. */
static uint32_t most_buffers(const struct net_receiver *receiver)
{
	return receiver->queue->size < NET_BUFFERS ? receiver->queue->size : NET_BUFFERS;
}

int net_receive(struct net_receiver *receiver, const struct net_frame *frame)
{
	struct virtio_net_hdr_v1 header = frame->header;
	uint64_t len = receiver->header_len + frame->len;
	uint32_t nr;

	if (receiver->generation != device_queue_generation(receiver->queue))
		look(receiver);
	else if (receiver->serial != memory_serial(receiver->queue->memory))
		find_places(receiver);
	nr = count_buffers(receiver, len);
	if (!nr) {
		look(receiver);
		nr = count_buffers(receiver, len);
	}
	if (!nr && receiver->burst.nr < most_buffers(receiver))
		return 0;
	if (!nr ||
	    (!receiver->may_merge && receiver->burst.chains[receiver->filled].len_in < len)) {
		receiver->dropped++;
		return 1;
	}
	header.num_buffers = (uint16_t)nr;
	if (!write_at_once(receiver, &header, frame) && write_frame(receiver, &header, frame)) {
		device_queue_break(receiver->queue);
		receiver->dropped++;
		return 1;
	}
	receiver->filled += nr;
	receiver->frames++;
	receiver->bytes += frame->len;
	return 1;
}
