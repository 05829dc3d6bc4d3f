// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What the guest receives: skbs, copied into the buffers that it has posted. By who sends them, if
 * that takes no sleep and no frame waits; else by the queue's thread.
 */
#include <linux/minmax.h>
#include <linux/skbuff.h>

#include "frame.h"
#include "port.h"

/* Offset in the header. */
#define NUM_BUFFERS offsetof(struct virtio_net_hdr_v1, num_buffers)

/* What who sends a frame looks at for it. */
#define MAX_NOW_SEGMENTS 256

/**
 * struct delivery - an skb on its way into the guest's buffers
 * @queue: the receiveq
 * @access: to the buffers
 * @frame: where it is
 * @left: bytes of it that are left
 * @nr_buffers: how many it has taken
 * @nr_segments: how many those had
 * @num_buffers: gpa of both bytes of the header's field, which counts them
 */
struct delivery {
	struct net_queue *queue;
	struct access access;
	struct frame frame;
	u32 left;
	u32 nr_buffers;
	u32 nr_segments;
	u64 num_buffers[2];
};

static bool may_sleep(const struct delivery *delivery)
{
	return !(delivery->access.flags & VAS_NO_SLEEP);
}

/* The byte at this offset of what the device writes of the chain, which has that many. */
static u64 gpa_of(const struct vas_virtq_chain *chain, u32 offset)
{
	const struct vas_virtq_segment *segment = chain->segments + chain->nr_out;

	for (; offset >= segment->len; segment++)
		offset -= segment->len;
	return segment->gpa + offset;
}

/* As much as the chain has room for, which is taken then. */
static int fill_chain(struct delivery *delivery)
{
	struct net_queue *queue = delivery->queue;
	const struct vas_virtq_chain *chain = &queue->queue.chain;
	const struct vas_virtq_segment *segment = chain->segments + chain->nr_out;
	u32 all = min_t(u64, chain->len_in, delivery->left), left = all;
	int err = 0;

	for (; left && !err; segment++) {
		u32 len = min(segment->len, left);

		err = frame_copy(&delivery->frame, &delivery->access, segment->gpa, len);
		left -= len;
	}
	/* To peek at the next one may be to wait for another section. */
	if (may_sleep(delivery))
		access_leave(&delivery->access);
	if (err)
		return err;
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
		err = access_copy(&delivery->access, delivery->num_buffers[i], (u8 *)&nr + i, 1);
	return err;
}

/* Of the chain that was peeked at: 0; or an error: no sense, not now, or no chain ever will do. */
static int check_chain(struct delivery *delivery)
{
	const struct vas_virtq_chain *chain = &delivery->queue->queue.chain;
	bool can_merge = port_has(delivery->queue->port, VIRTIO_NET_F_MRG_RXBUF);

	delivery->nr_segments += chain->nr_out + chain->nr_in;
	if (chain->len_in < HEADER_LEN)
		return -EPROTO;
	if (!may_sleep(delivery) && delivery->nr_segments > MAX_NOW_SEGMENTS)
		return -EAGAIN;
	if (chain->len_in >= delivery->left)
		return 0;
	if (!can_merge || delivery->nr_buffers == MAX_MERGED - 1)
		return -E2BIG;
	if (!delivery->nr_buffers) {
		delivery->num_buffers[0] = gpa_of(chain, NUM_BUFFERS);
		delivery->num_buffers[1] = gpa_of(chain, NUM_BUFFERS + 1);
	}
	return 0;
}

/* 1: all of it is in guest memory; 0: no buffer, a kick will tell; -E2BIG: it never fits. */
static int deliver(struct delivery *delivery)
{
	struct vas_queue *queue = &delivery->queue->queue;
	int result;

	while (delivery->left) {
		result = vas_queue_peek(queue);
		/* Once: a driver that takes it back meanwhile has been asked to kick. */
		if (!result && vas_queue_enable_kick(queue))
			result = vas_queue_peek(queue);
		if (result <= 0)
			return result;
		result = check_chain(delivery);
		if (!result)
			result = fill_chain(delivery);
		if (result)
			return result;
	}
	result = delivery->nr_buffers > 1 ? tell_num_buffers(delivery) : 0;
	return result ? result : 1;
}

/* As deliver(). If it is not 1, the ring is where it was. */
static int receive_one(struct net_queue *queue, struct sk_buff *skb, u32 flags)
{
	struct vas_virtq before = queue->queue.ring.queue;
	struct delivery delivery = {
		.queue = queue,
		.access = { .queue = queue, .flags = VAS_PROT_WRITE | flags },
		.left = skb->len,
	};
	u32 nr_answers = queue->nr_answers;
	int result;

	frame_begin(&delivery.frame, skb);
	result = deliver(&delivery);
	access_leave(&delivery.access);
	if (result <= 0) {
		queue->queue.ring.queue = before;
		queue->nr_answers = nr_answers;
	}
	return result;
}

/* 1: the skb is done with. */
static int receive_next(struct net_queue *queue, struct sk_buff *skb, u32 flags)
{
	struct net_counters *counters = &queue->pair->rx;
	int result = receive_one(queue, skb, flags);

	if (result == -E2BIG) {
		net_count(&counters->dropped, 1);
		return 1;
	}
	if (result == 1) {
		net_count(&counters->packets, 1);
		net_count(&counters->bytes, skb->len - HEADER_LEN);
	}
	return result;
}

/* The skb, in whose place in the order it is, at once. False: it is still the caller's. */
bool receive_now(struct net_queue *queue, struct sk_buff *skb)
{
	int result = 0;

	if (!vas_queue_try_begin(&queue->queue))
		return false;
	if (__ptr_ring_empty(&queue->pair->skbs))
		result = receive_next(queue, skb, VAS_NO_SLEEP);
	if (result > 0)
		net_count(&queue->pair->nr_at_once, 1);
	net_queue_flush(queue);
	vas_queue_end(&queue->queue);
	/* An error is one for the thread to come upon. */
	if (result <= 0)
		return false;
	consume_skb(skb);
	return true;
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
		result = receive_next(queue, skb, 0);
		if (result <= 0)
			break;
		bytes += skb->len;
		__ptr_ring_discard_one(skbs);
		consume_skb(skb);
		if (queue->nr_answers >= MAX_BATCH)
			net_queue_flush(queue);
	}
	net_queue_flush(queue);
	return result;
}
