// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The interface. */
#include "port.h"

#include <linux/capability.h>
#include <linux/etherdevice.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "uso.h"

/* Frames that wait for the guest, in a pair of queues. */
#define MAX_WAITING 1024

#define FEATURE(name) (1ull << VIRTIO_NET_F_##name)

/* They say nothing to the data path: so a driver's word can be passed on whole. */
#define CONFIG_FEATURES                                                                        \
	(FEATURE(MAC) | FEATURE(MTU) | FEATURE(STATUS) | FEATURE(CTRL_VQ) | FEATURE(CTRL_RX) | \
	 FEATURE(CTRL_VLAN) | FEATURE(CTRL_MAC_ADDR) | FEATURE(CTRL_GUEST_OFFLOADS) |          \
	 FEATURE(GUEST_ANNOUNCE) | FEATURE(MQ))
#define GUEST_OFFLOADS                                                                          \
	(FEATURE(GUEST_CSUM) | FEATURE(GUEST_TSO4) | FEATURE(GUEST_TSO6) | FEATURE(GUEST_ECN) | \
	 1ull << VAS_NET_GUEST_USO4 | 1ull << VAS_NET_GUEST_USO6)
#define HOST_OFFLOADS (FEATURE(CSUM) | FEATURE(HOST_TSO4) | FEATURE(HOST_TSO6) | FEATURE(HOST_ECN))

/* Both are served in order anyway. */
#define IN_ORDER (1ull << 35)

#define OFFLOADS \
	(NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_TSO6 | NETIF_F_TSO_ECN | NETIF_F_GSO_UDP_L4)

u64 port_known_features(void)
{
	u64 uso = 1ull << VAS_NET_GUEST_USO4 | 1ull << VAS_NET_GUEST_USO6;

	return VAS_QUEUE_FEATURES | IN_ORDER | CONFIG_FEATURES | (GUEST_OFFLOADS & ~uso) |
	       HOST_OFFLOADS | VAS_NET_USO | FEATURE(MRG_RXBUF);
}

/* A driver's word. */
bool port_can(u64 features)
{
	return features & 1ull << VIRTIO_F_VERSION_1 && !(features & ~port_known_features());
}

static struct port *to_port(struct net_device *dev)
{
	return *(struct port **)netdev_priv(dev);
}

/* ---- to the guest -------------------------------------------------------------------------- */

/* What the stack has left for the guest to do. */
static bool add_header(const struct port *port, struct sk_buff *skb)
{
	struct virtio_net_hdr_v1 header = { .num_buffers = cpu_to_le16(1) };
	bool has_csum = READ_ONCE(port->offloads) & FEATURE(GUEST_CSUM);

	if (skb_has_frag_list(skb) ||
	    virtio_net_hdr_from_skb(skb, (struct virtio_net_hdr *)&header, true, has_csum, 0) ||
	    skb_cow_head(skb, HEADER_LEN))
		return false;
	memcpy(__skb_push(skb, HEADER_LEN), &header, sizeof(header));
	return true;
}

/* It may wait as long as the guest likes. */
static bool add_skb(struct net_pair *pair, struct sk_buff *skb)
{
	if (skb_orphan_frags_rx(skb, GFP_ATOMIC))
		return false;
	skb_orphan(skb);
	nf_reset_ct(skb);
	/* Whether there is room it reads plainly, while the other side makes some. */
	return !data_race(ptr_ring_produce(&pair->skbs, skb));
}

/* To the guest now, or to the thread, which will find room for it. */
static netdev_tx_t port_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct port *port = to_port(dev);
	struct net_pair *pair = &port->pairs[skb_get_queue_mapping(skb)];
	bool has_header, more = netdev_xmit_more();
	struct net_queue *receiveq;

	rcu_read_lock();
	receiveq = rcu_dereference(pair->receiveq);
	skb_tx_timestamp(skb);
	has_header = add_header(port, skb);
	if (has_header && receiveq && receive_now(receiveq, skb))
		goto out;
	if (!has_header || !add_skb(pair, skb)) {
		net_count(&pair->nr_full, 1);
		dev_kfree_skb_any(skb);
		more = false; /* those before it may have woken nobody */
	}
	if (receiveq && !more)
		vas_queue_wake(&receiveq->queue);
out:
	rcu_read_unlock();
	return NETDEV_TX_OK;
}

/* ---- the interface ------------------------------------------------------------------------- */

static void port_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	struct port *port = to_port(dev);
	u32 i;

	for (i = 0; i < port->nr_pairs; i++) {
		const struct net_pair *pair = &port->pairs[i];

		stats->rx_packets += READ_ONCE(pair->tx.packets);
		stats->rx_bytes += READ_ONCE(pair->tx.bytes);
		stats->rx_dropped += READ_ONCE(pair->tx.dropped);
		stats->rx_errors += READ_ONCE(pair->tx.errors);
		stats->tx_packets += READ_ONCE(pair->rx.packets);
		stats->tx_bytes += READ_ONCE(pair->rx.bytes);
		stats->tx_dropped += READ_ONCE(pair->rx.dropped) + READ_ONCE(pair->nr_full);
	}
}

/* A guest may turn off what it has offered to do. */
static netdev_features_t port_fix_features(struct net_device *dev, netdev_features_t features)
{
	u64 offloads = READ_ONCE(to_port(dev)->offloads);
	u64 uso = 1ull << VAS_NET_GUEST_USO4 | 1ull << VAS_NET_GUEST_USO6;

	if (!(offloads & FEATURE(GUEST_CSUM)))
		return features & ~OFFLOADS;
	if (!(offloads & FEATURE(GUEST_TSO4)))
		features &= ~NETIF_F_TSO;
	if (!(offloads & FEATURE(GUEST_TSO6)))
		features &= ~NETIF_F_TSO6;
	if (!(offloads & FEATURE(GUEST_ECN)))
		features &= ~NETIF_F_TSO_ECN;
	if ((offloads & uso) != uso)
		features &= ~NETIF_F_GSO_UDP_L4;
	return features;
}

static const struct net_device_ops port_netdev_ops = {
	.ndo_start_xmit = port_xmit,
	.ndo_get_stats64 = port_get_stats64,
	.ndo_fix_features = port_fix_features,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = eth_mac_addr,
};

static void free_skb(void *skb)
{
	kfree_skb(skb);
}

static void free_pairs(struct port *port, u32 nr)
{
	while (nr--)
		ptr_ring_cleanup(&port->pairs[nr].skbs, free_skb);
}

static int init_pairs(struct port *port, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		int err = ptr_ring_init(&port->pairs[i].skbs, MAX_WAITING, GFP_KERNEL_ACCOUNT);

		if (err) {
			free_pairs(port, i);
			return err;
		}
	}
	port->nr_pairs = nr;
	return 0;
}

static void init_dev(struct port *port, struct net_device *dev, const struct vas_net_open *arg)
{
	*(struct port **)netdev_priv(dev) = port;
	dev_net_set(dev, current->nsproxy->net_ns);
	dev->netdev_ops = &port_netdev_ops;
	dev->ethtool_ops = &port_ethtool_ops;
	dev->hw_features = NETIF_F_SG | OFFLOADS;
	dev->features = dev->hw_features | NETIF_F_HIGHDMA;
	dev->vlan_features = dev->features;
	dev->needed_headroom = HEADER_LEN;
	/* A frame gets its header where it is, and may be kept: its sender has it no more. */
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = ETH_MAX_MTU - ETH_HLEN;
	if (arg->mtu)
		dev->mtu = arg->mtu;
	if (is_zero_ether_addr(arg->mac))
		eth_hw_addr_random(dev);
	else
		eth_hw_addr_set(dev, arg->mac);
}

/* All pairs may receive from the first: the guest's driver does not ask before it sends. */
static int register_dev(struct net_device *dev, char name[VAS_NET_NAME_LEN])
{
	int err;

	rtnl_lock();
	err = register_netdevice(dev);
	if (!err) {
		netif_set_real_num_tx_queues(dev, 1);
		strscpy(name, dev->name, VAS_NET_NAME_LEN);
	}
	rtnl_unlock();
	return err;
}

static bool is_valid(const struct vas_net_open *arg)
{
	return arg->nr_pairs && arg->nr_pairs <= VAS_NET_MAX_PAIRS && !arg->pad &&
	       port_can(arg->features) &&
	       (is_zero_ether_addr(arg->mac) || is_valid_ether_addr(arg->mac)) &&
	       (!arg->mtu || (arg->mtu >= ETH_MIN_MTU && arg->mtu <= ETH_MAX_MTU - ETH_HLEN)) &&
	       strnlen(arg->name, sizeof(arg->name)) < sizeof(arg->name);
}

/* The set is bound. After it arg->name is the interface's. */
int port_create(struct port *port, struct vas_net_open *arg)
{
	struct net_device *dev;
	int err;

	if (!ns_capable(current->nsproxy->net_ns->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	if (!is_valid(arg))
		return -EINVAL;
	err = init_pairs(port, arg->nr_pairs);
	if (err)
		return err;
	port->offloads = arg->features & GUEST_OFFLOADS;
	dev = alloc_netdev_mqs(sizeof(struct port *), *arg->name ? arg->name : "vasnet%d",
			       NET_NAME_ENUM, ether_setup, arg->nr_pairs, arg->nr_pairs);
	err = -ENOMEM;
	if (!dev)
		goto err_free_pairs;
	init_dev(port, dev, arg);
	err = register_dev(dev, arg->name);
	if (err)
		goto err_free_dev;
	port->dev = dev;
	return 0;
err_free_dev:
	free_netdev(dev);
err_free_pairs:
	free_pairs(port, arg->nr_pairs);
	return err;
}

/* No queue runs. */
void port_destroy(struct port *port)
{
	unregister_netdev(port->dev);
	free_netdev(port->dev);
	free_pairs(port, port->nr_pairs);
	port->dev = NULL;
}

/* No queue runs, so that nobody else takes what waits, whose headers are for the driver before. */
void port_set_features(struct port *port, u64 features)
{
	struct sk_buff *skb;
	u32 i;

	WRITE_ONCE(port->set.features, features);
	port_set_offloads(port, features);
	synchronize_net();
	for (i = 0; i < port->nr_pairs; i++)
		while ((skb = ptr_ring_consume_bh(&port->pairs[i].skbs))) {
			net_count(&port->pairs[i].rx.dropped, 1);
			kfree_skb(skb);
		}
}

void port_set_offloads(struct port *port, u64 offloads)
{
	rtnl_lock();
	WRITE_ONCE(port->offloads, offloads & port->set.features & GUEST_OFFLOADS);
	netdev_update_features(port->dev);
	rtnl_unlock();
}

int port_set_pairs(struct port *port, u32 nr)
{
	int err;

	if (!nr || nr > port->nr_pairs)
		return -EINVAL;
	rtnl_lock();
	err = netif_set_real_num_tx_queues(port->dev, nr);
	rtnl_unlock();
	return err;
}

void port_set_link(struct port *port, bool is_up)
{
	if (is_up)
		netif_carrier_on(port->dev);
	else
		netif_carrier_off(port->dev);
}
