// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What the guest receives: skbs, copied into the buffers that it has posted. */
#include <linux/minmax.h>
#include <linux/skbuff.h>

#include "port.h"

/* Offset in the header. */
#define NUM_BUFFERS offsetof(struct virtio_net_hdr_v1, num_buffers)

/**
 * struct delivery - an skb on its way into the guest's buffers
 * @queue: the receiveq
 * @frame: where it is
 * @left: bytes of it that are left
 * @nr_buffers: how many it has taken
 * @num_buffers: gpa of both bytes of the header's field, which counts them
 */
struct delivery {
	struct net_queue *queue;
	struct frame frame;
	u32 left;
	u32 nr_buffers;
	u64 num_buffers[2];
};

/* The byte at this offset of what the device writes of the chain, which has that many. */
static u64 gpa_of(const struct vas_virtq_chain *chain, u32 offset)
{
	const struct vas_virtq_segment *segment = chain->segments + chain->nr_out;

	for (; offset >= segment->len; segment++)
		offset -= segment->len;
	return segment->gpa + offset;
}

static int fill_segment(struct delivery *delivery, u64 gpa, u32 len)
{
	while (len) {
		u32 nr = len;
		void *from = frame_next(&delivery->frame, &nr);
		int err;

		if (WARN_ON_ONCE(!from))
			return -EIO;
		err = net_write(delivery->queue, gpa, from, nr);
		if (err)
			return err;
		gpa += nr;
		len -= nr;
	}
	return 0;
}

/* As much as the chain has room for, which is taken then. */
static int fill_chain(struct delivery *delivery)
{
	struct net_queue *queue = delivery->queue;
	const struct vas_virtq_chain *chain = &queue->queue.chain;
	const struct vas_virtq_segment *segment = chain->segments + chain->nr_out;
	u32 all = min_t(u64, chain->len_in, delivery->left), left = all;

	for (; left; segment++) {
		u32 len = min(segment->len, left);
		int err = fill_segment(delivery, segment->gpa, len);

		if (err)
			return err;
		left -= len;
	}
	vas_queue_take(&queue->queue);
	net_queue_answer(queue, all);
	delivery->left -= all;
	delivery->nr_buffers++;
	return 0;
}

static int tell_num_buffers(struct delivery *delivery)
{
	__le16 nr = cpu_to_le16(delivery->nr_buffers);
	int i, err = 0;

	for (i = 0; i < 2 && !err; i++)
		err = net_write(delivery->queue, delivery->num_buffers[i], (u8 *)&nr + i, 1);
	return err;
}

/* 1: all of it is in guest memory; 0: no buffer, a kick will tell; -E2BIG: it never fits. */
static int deliver(struct delivery *delivery)
{
	struct vas_queue *queue = &delivery->queue->queue;
	bool can_merge = port_has(delivery->queue->port, VIRTIO_NET_F_MRG_RXBUF);
	int result;

	while (delivery->left) {
		result = vas_queue_peek(queue);
		/* Once: a driver that takes it back meanwhile has been asked to kick. */
		if (!result && vas_queue_enable_kick(queue))
			result = vas_queue_peek(queue);
		if (result <= 0)
			return result;
		if (queue->chain.len_in < HEADER_LEN)
			return -EPROTO;
		if (queue->chain.len_in < delivery->left) {
			if (!can_merge || delivery->nr_buffers == MAX_MERGED - 1)
				return -E2BIG;
			if (!delivery->nr_buffers) {
				delivery->num_buffers[0] = gpa_of(&queue->chain, NUM_BUFFERS);
				delivery->num_buffers[1] = gpa_of(&queue->chain, NUM_BUFFERS + 1);
			}
		}
		result = fill_chain(delivery);
		if (result)
			return result;
	}
	result = delivery->nr_buffers > 1 ? tell_num_buffers(delivery) : 0;
	return result ? result : 1;
}

/* As deliver(). If it is not 1, the ring is where it was. */
static int receive_one(struct net_queue *queue, struct sk_buff *skb)
{
	struct delivery delivery = { .queue = queue, .left = skb->len };
	struct vas_virtq before = queue->queue.ring.queue;
	u32 nr_answers = queue->nr_answers;
	int result;

	frame_begin(&delivery.frame, skb);
	result = deliver(&delivery);
	if (result <= 0) {
		queue->queue.ring.queue = before;
		queue->nr_answers = nr_answers;
	}
	return result;
}

/* 1: the skb is done with. */
static int receive_next(struct net_queue *queue, struct sk_buff *skb, u32 *bytes)
{
	struct net_counters *counters = &queue->pair->rx;
	int result = receive_one(queue, skb);

	if (result == -E2BIG) {
		net_count(&counters->dropped, 1);
		return 1;
	}
	if (result == 1) {
		net_count(&counters->packets, 1);
		net_count(&counters->bytes, skb->len - HEADER_LEN);
		*bytes += skb->len;
	}
	return result;
}

/* See struct vas_queue_ops. */
int receive_serve(struct net_queue *queue)
{
	struct ptr_ring *skbs = &queue->pair->skbs;
	int nr, result = 1;
	u32 bytes = 0;

	for (nr = 0; nr < MAX_BATCH && bytes < MAX_BATCH_BYTES; nr++) {
		struct sk_buff *skb = __ptr_ring_peek(skbs);

		if (!skb)
			result = 0;
		if (!skb || vas_queue_is_wanted(&queue->queue))
			break;
		result = receive_next(queue, skb, &bytes);
		if (result <= 0)
			break;
		__ptr_ring_discard_one(skbs);
		consume_skb(skb);
		if (queue->nr_answers >= MAX_BATCH)
			net_queue_flush(queue);
	}
	net_queue_flush(queue);
	return result;
}
