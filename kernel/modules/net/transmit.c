// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What the guest sends: its buffers, copied into skbs that the interface receives. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/skbuff.h>

#include "frame.h"
#include "port.h"
#include "uso.h"

/* With the header: the largest that IP has, and what is before it. */
#define MAX_FRAME (HEADER_LEN + 65535 + ETH_HLEN + 2 * VLAN_HLEN)
#define MIN_FRAME (HEADER_LEN + ETH_HLEN)

/* A longer one is in pages, but for its first bytes, where all the protocols' headers are. */
#define MAX_LINEAR 2048
#define IN_HEAD	   256

/* With more descriptors a frame is one for who may sleep. */
#define MAX_NOW_SEGMENTS 64

/**
 * struct batch - frames on their way to the stack
 * @queue: the transmitq
 * @access: to guest memory. With VAS_NO_SLEEP bottom halves are disabled
 * @skbs: the frames
 * @bytes: of all that were copied
 */
struct batch {
	struct net_queue *queue;
	struct access access;
	struct list_head skbs;
	u32 bytes;
};

static bool may_sleep(const struct batch *batch)
{
	return !(batch->access.flags & VAS_NO_SLEEP);
}

/* Of the pool, linear. */
static struct sk_buff *take_linear(struct pool *pool, u32 len)
{
	u32 size =
		SKB_DATA_ALIGN(NET_SKB_PAD + len) + SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	void *data = pool_take(pool, size);
	struct sk_buff *skb = data ? napi_build_skb(data, size) : NULL;

	if (unlikely(!skb)) {
		if (data)
			skb_free_frag(data);
		return NULL;
	}
	skb_reserve(skb, NET_SKB_PAD);
	__skb_put(skb, len);
	return skb;
}

/* So many bytes more, in pages. */
static bool take_pages(struct pool *pool, struct sk_buff *skb, u32 len)
{
	struct pool_part part;

	for (; len; len -= part.len) {
		int nr = skb_shinfo(skb)->nr_frags;

		if (nr == MAX_SKB_FRAGS || !pool_take_some(pool, len, &part))
			return false;
		skb_add_rx_frag(skb, nr, part.page, part.offset, part.len, part.len);
	}
	return true;
}

static struct sk_buff *take(struct pool *pool, u32 len)
{
	u32 linear = len <= MAX_LINEAR ? len : IN_HEAD;
	struct sk_buff *skb = take_linear(pool, linear);

	if (likely(skb) && unlikely(!take_pages(pool, skb, len - linear))) {
		kfree_skb(skb);
		return NULL;
	}
	return skb;
}

/* Of the system, which is waited for. */
static struct sk_buff *alloc(u32 len)
{
	u32 linear = len <= MAX_LINEAR ? len : IN_HEAD;
	struct sk_buff *skb;
	int err;

	skb = alloc_skb_with_frags(NET_SKB_PAD + linear, len - linear, PAGE_ALLOC_COSTLY_ORDER,
				   &err, GFP_KERNEL | __GFP_NOWARN);
	if (!skb)
		return NULL;
	skb_reserve(skb, NET_SKB_PAD);
	__skb_put(skb, linear);
	skb->data_len = len - linear;
	skb->len = len;
	return skb;
}

static int feature_of(u8 gso_type)
{
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return VIRTIO_NET_F_HOST_TSO4;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return VIRTIO_NET_F_HOST_TSO6;
	case VAS_NET_GSO_UDP_L4:
		return VAS_NET_HOST_USO;
	default:
		return -1;
	}
}

/* Nothing but what was agreed on. virtio_net_hdr_to_skb() checks what it says of the frame. */
static bool is_agreed(const struct port *port, const struct virtio_net_hdr_v1 *header)
{
	int feature;

	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !port_has(port, VIRTIO_NET_F_CSUM))
		return false;
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if (header->gso_type & VIRTIO_NET_HDR_GSO_ECN && !port_has(port, VIRTIO_NET_F_HOST_ECN))
		return false;
	feature = feature_of(header->gso_type);
	return feature >= 0 && port_has(port, feature);
}

/* Its header comes first. */
static bool finish(struct net_queue *queue, struct sk_buff *skb)
{
	struct virtio_net_hdr_v1 header;

	memcpy(&header, skb->data, sizeof(header));
	__skb_pull(skb, HEADER_LEN);
	/* By these virtio_net_hdr_to_skb() finds out whether header and protocol fit. */
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN);
	/* It finds the transport header of what will be segmented. Other frames' is the stack's. */
	if (!is_agreed(queue->port, &header) ||
	    virtio_net_hdr_to_skb(skb, (struct virtio_net_hdr *)&header, true))
		return false;
	skb->protocol = eth_type_trans(skb, skb->dev);
	skb_reset_network_header(skb);
	skb_record_rx_queue(skb, queue->pair - queue->port->pairs);
	return true;
}

static int fill(struct batch *batch, struct sk_buff *skb)
{
	const struct vas_virtq_chain *chain = &batch->queue->queue.chain;
	struct frame frame;
	u32 i;

	frame_begin(&frame, skb);
	for (i = 0; i < chain->nr_out; i++) {
		const struct vas_virtq_segment *segment = &chain->segments[i];
		int err = frame_copy(&frame, &batch->access, segment->gpa, segment->len);

		if (err)
			return err;
	}
	return 0;
}

/* 1, and the frame or NULL: it was dropped; or an error: then it is still in the ring. */
static int get_frame(struct batch *batch, struct sk_buff **skb)
{
	const struct vas_virtq_chain *chain = &batch->queue->queue.chain;
	struct net_counters *counters = &batch->queue->pair->tx;
	struct net_device *dev = batch->queue->port->dev;
	int err;

	*skb = NULL;
	if (chain->len_out < MIN_FRAME || chain->len_out > MAX_FRAME) {
		net_count(&counters->errors, 1);
		return 1;
	}
	if (netif_running(dev))
		*skb = may_sleep(batch) ? alloc(chain->len_out) :
					  take(&batch->queue->pool, chain->len_out);
	if (!*skb && netif_running(dev) && !may_sleep(batch))
		return -EAGAIN;
	if (!*skb) {
		net_count(&counters->dropped, 1);
		return 1;
	}
	(*skb)->dev = dev;
	err = fill(batch, *skb);
	if (!err)
		return 1;
	kfree_skb(*skb);
	return err;
}

static void add_to_batch(struct batch *batch, struct sk_buff *skb)
{
	struct net_counters *counters = &batch->queue->pair->tx;

	batch->bytes += skb->len;
	if (!finish(batch->queue, skb)) {
		net_count(&counters->errors, 1);
		kfree_skb(skb);
		return;
	}
	net_count(&counters->packets, 1);
	net_count(&counters->bytes, skb->len + ETH_HLEN);
	list_add_tail(&skb->list, &batch->skbs);
}

/* 1: there may be more; 0: there is not; or an error. */
static int transmit_one(struct batch *batch)
{
	struct vas_queue *queue = &batch->queue->queue;
	struct sk_buff *skb;
	int result = vas_queue_peek(queue);

	if (result <= 0)
		return result;
	if (queue->chain.len_out < HEADER_LEN)
		return -EPROTO;
	if (!may_sleep(batch) && queue->chain.nr_out + queue->chain.nr_in > MAX_NOW_SEGMENTS)
		return -EAGAIN;
	result = get_frame(batch, &skb);
	if (result < 0)
		return result;
	vas_queue_take(queue);
	net_queue_answer(batch->queue, 0);
	if (skb)
		add_to_batch(batch, skb);
	return 1;
}

/* As transmit_one(). The guest has its buffers back before the frames are received. */
static int transmit_some(struct net_queue *queue, int max, u32 flags)
{
	struct batch batch = { .queue = queue, .access = { .queue = queue, .flags = flags } };
	int nr, result = 1;

	INIT_LIST_HEAD(&batch.skbs);
	for (nr = 0; nr < max && batch.bytes < MAX_BATCH_BYTES && result > 0; nr++) {
		if (vas_queue_is_wanted(&queue->queue))
			break;
		result = transmit_one(&batch);
	}
	access_leave(&batch.access);
	net_queue_flush(queue);
	local_bh_disable();
	netif_receive_skb_list(&batch.skbs);
	local_bh_enable();
	return result;
}

/* See struct vas_queue_ops. */
int transmit_serve(struct net_queue *queue)
{
	int result;

	local_bh_disable();
	vas_queue_set_no_sleep(&queue->queue, true);
	result = transmit_some(queue, MAX_BATCH, VAS_NO_SLEEP);
	vas_queue_set_no_sleep(&queue->queue, false);
	local_bh_enable();
	/* One that takes sleep: memory that is to be had first, for it or of the guest's. */
	if (result == -EAGAIN)
		result = transmit_some(queue, 1, 0);
	return result ? result : vas_queue_enable_kick(&queue->queue);
}
