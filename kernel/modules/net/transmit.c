// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What the guest sends: its buffers, copied into skbs that the interface receives. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/skbuff.h>

#include "uso.h"
#include "port.h"

/* With the header: the largest that IP has, and what is before it. */
#define MAX_FRAME (HEADER_LEN + 65535 + ETH_HLEN + 2 * VLAN_HLEN)
#define MIN_FRAME (HEADER_LEN + ETH_HLEN)

/* A longer one is in pages, but for its first bytes, where all the protocols' headers are. */
#define MAX_LINEAR 2048
#define IN_HEAD	   256

static struct sk_buff *alloc(struct net_device *dev, u32 len)
{
	struct sk_buff *skb;
	int err;

	if (len <= MAX_LINEAR) {
		skb = __netdev_alloc_skb(dev, len, GFP_KERNEL | __GFP_NOWARN);
		if (skb)
			__skb_put(skb, len);
		return skb;
	}
	skb = alloc_skb_with_frags(NET_SKB_PAD + IN_HEAD, len - IN_HEAD, PAGE_ALLOC_COSTLY_ORDER,
				   &err, GFP_KERNEL | __GFP_NOWARN);
	if (!skb)
		return NULL;
	skb_reserve(skb, NET_SKB_PAD);
	__skb_put(skb, IN_HEAD);
	skb->data_len = len - IN_HEAD;
	skb->len = len;
	skb->dev = dev;
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
	struct net_device *dev = queue->port->dev;
	struct virtio_net_hdr_v1 header;

	memcpy(&header, skb->data, sizeof(header));
	__skb_pull(skb, HEADER_LEN);
	/* By these virtio_net_hdr_to_skb() finds out whether header and protocol fit. */
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, ETH_HLEN);
	if (!is_agreed(queue->port, &header) ||
	    virtio_net_hdr_to_skb(skb, (struct virtio_net_hdr *)&header, true))
		return false;
	skb->protocol = eth_type_trans(skb, dev);
	skb_reset_network_header(skb);
	skb_probe_transport_header(skb);
	skb_record_rx_queue(skb, queue->pair - queue->port->pairs);
	return true;
}

/* 1, and the frame or NULL: it was dropped; or an error: then it is still in the ring. */
static int get_frame(struct net_queue *queue, struct sk_buff **skb)
{
	const struct vas_virtq_chain *chain = &queue->queue.chain;
	struct net_counters *counters = &queue->pair->tx;
	struct net_device *dev = queue->port->dev;
	int err;

	*skb = NULL;
	if (chain->len_out < MIN_FRAME || chain->len_out > MAX_FRAME) {
		net_count(&counters->errors, 1);
		return 1;
	}
	*skb = netif_running(dev) ? alloc(dev, chain->len_out) : NULL;
	if (!*skb) {
		net_count(&counters->dropped, 1);
		return 1;
	}
	err = frame_read(queue, chain->segments, chain->nr_out, *skb);
	if (!err)
		return 1;
	kfree_skb(*skb);
	return err;
}

/* 1: there may be more; 0: there is not; or an error. */
static int transmit_one(struct net_queue *queue, struct list_head *skbs, u32 *bytes)
{
	struct net_counters *counters = &queue->pair->tx;
	struct sk_buff *skb;
	int result = vas_queue_peek(&queue->queue);

	if (result <= 0)
		return result;
	if (queue->queue.chain.len_out < HEADER_LEN)
		return -EPROTO;
	result = get_frame(queue, &skb);
	if (result < 0)
		return result;
	vas_queue_take(&queue->queue);
	net_queue_answer(queue, 0);
	if (!skb)
		return 1;
	if (!finish(queue, skb)) {
		net_count(&counters->errors, 1);
		kfree_skb(skb);
		return 1;
	}
	*bytes += skb->len + ETH_HLEN;
	net_count(&counters->packets, 1);
	net_count(&counters->bytes, skb->len + ETH_HLEN);
	list_add_tail(&skb->list, skbs);
	return 1;
}

/* See struct vas_queue_ops. The guest has its buffers back before the frames are received. */
int transmit_serve(struct net_queue *queue)
{
	int nr, result = 1;
	LIST_HEAD(skbs);
	u32 bytes = 0;

	for (nr = 0; nr < MAX_BATCH && bytes < MAX_BATCH_BYTES && result > 0; nr++) {
		if (vas_queue_is_wanted(&queue->queue))
			break;
		result = transmit_one(queue, &skbs, &bytes);
	}
	net_queue_flush(queue);
	local_bh_disable();
	netif_receive_skb_list(&skbs);
	local_bh_enable();
	return result ? result : vas_queue_enable_kick(&queue->queue);
}
