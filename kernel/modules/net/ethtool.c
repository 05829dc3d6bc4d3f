// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <linux/ethtool.h>
#include <linux/fs.h>
#include <linux/string.h>

#include "port.h"

static struct port *to_port(struct net_device *dev)
{
	return *(struct port **)netdev_priv(dev);
}

/* What is said of each pair, in this order. "rx" is what the guest receives. */
static const char *const names[] = {
	"rx_packets", "rx_bytes", "rx_dropped", "rx_no_room", "rx_at_once",
	"tx_packets", "tx_bytes", "tx_dropped", "tx_errors",
};

static void get_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	strscpy(info->driver, "vas_net", sizeof(info->driver));
	snprintf(info->bus_info, sizeof(info->bus_info), "vas:%lu",
		 (unsigned long)file_inode(to_port(dev)->set.file)->i_ino);
}

static int get_sset_count(struct net_device *dev, int set)
{
	return set == ETH_SS_STATS ? to_port(dev)->nr_pairs * ARRAY_SIZE(names) : -EOPNOTSUPP;
}

static void get_strings(struct net_device *dev, u32 set, u8 *to)
{
	u32 pair, i;

	if (set != ETH_SS_STATS)
		return;
	for (pair = 0; pair < to_port(dev)->nr_pairs; pair++)
		for (i = 0; i < ARRAY_SIZE(names); i++)
			ethtool_sprintf(&to, "guest_queue_%u_%s", pair, names[i]);
}

static void get_stats(struct net_device *dev, struct ethtool_stats *stats, u64 *to)
{
	struct port *port = to_port(dev);
	u32 i;

	for (i = 0; i < port->nr_pairs; i++) {
		const struct net_pair *pair = &port->pairs[i];

		*to++ = READ_ONCE(pair->rx.packets);
		*to++ = READ_ONCE(pair->rx.bytes);
		*to++ = READ_ONCE(pair->rx.dropped);
		*to++ = READ_ONCE(pair->nr_full);
		*to++ = READ_ONCE(pair->nr_at_once);
		*to++ = READ_ONCE(pair->tx.packets);
		*to++ = READ_ONCE(pair->tx.bytes);
		*to++ = READ_ONCE(pair->tx.dropped);
		*to++ = READ_ONCE(pair->tx.errors);
	}
}

const struct ethtool_ops port_ethtool_ops = {
	.get_drvinfo = get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_sset_count = get_sset_count,
	.get_strings = get_strings,
	.get_ethtool_stats = get_stats,
};
