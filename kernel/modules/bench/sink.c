// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* An interface that throws away what is sent by it: what sending costs without any device. */
#include <linux/etherdevice.h>
#include <linux/netdevice.h>

#include "subject.h"

static struct net_device *sink;

static netdev_tx_t sink_xmit(struct sk_buff *skb, struct net_device *dev)
{
	consume_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops sink_ops = { .ndo_start_xmit = sink_xmit };

int sink_create(void)
{
	int err;

	sink = alloc_netdev(0, VAS_BENCH_SINK, NET_NAME_PREDICTABLE, ether_setup);
	if (!sink)
		return -ENOMEM;
	sink->netdev_ops = &sink_ops;
	sink->features |= NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_HIGHDMA;
	eth_hw_addr_random(sink);
	err = register_netdev(sink);
	if (err)
		free_netdev(sink);
	return err;
}

void sink_destroy(void)
{
	unregister_netdev(sink);
	free_netdev(sink);
}
