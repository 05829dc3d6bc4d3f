// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Before the kernel's: musl's tells those which structs are there. */
#include <netinet/if_ether.h>

#include "device/net/net.h"

#include <errno.h>
#include <arpa/inet.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <net/if_arp.h>
#include <string.h>
#include <vas/consumer.h>

#include "device/net/port.h"

#define OLD_HEADER offsetof(struct virtio_net_hdr_v1, num_buffers) /* before virtio 1.0 */

/* ---- pairs -------------------------------------------------------------------------------- */

static void attach(struct net *net, struct net_pair *pair)
{
	if (net->ops->attach)
		net->ops->attach(pair->port,
				 pair->is_received && pair - net->pairs < net->active_pairs);
}

void net_use_pairs(struct net *net, uint32_t nr)
{
	uint32_t i;

	pthread_mutex_lock(&net->lock);
	net->active_pairs = nr;
	for (i = 0; i < net->nr_pairs; i++)
		attach(net, &net->pairs[i]);
	pthread_mutex_unlock(&net->lock);
}

void net_set_received(struct net *net, struct net_pair *pair, bool is_received)
{
	pthread_mutex_lock(&net->lock);
	pair->is_received = is_received;
	attach(net, pair);
	pthread_mutex_unlock(&net->lock);
}

/* ---- the device --------------------------------------------------------------------------- */

enum { KEPT_PAIRS, KEPT_MAC }; /* words of device.kept; 0: the driver has not asked for any */

void net_keep(struct net *net)
{
	uint64_t mac = 1ull << 48;

	memcpy(&mac, net->mac, sizeof(net->mac));
	vas_device_keep(&net->device, KEPT_PAIRS, net->active_pairs);
	vas_device_keep(&net->device, KEPT_MAC, mac);
}

static void find_kept(struct net *net)
{
	uint64_t pairs = vas_device_kept(&net->device, KEPT_PAIRS);
	uint64_t mac = vas_device_kept(&net->device, KEPT_MAC);

	pthread_mutex_lock(&net->lock);
	if (pairs && pairs <= net->nr_pairs)
		net->active_pairs = (uint32_t)pairs;
	if (mac)
		memcpy(net->mac, &mac, sizeof(net->mac));
	pthread_mutex_unlock(&net->lock);
}

/*
 * Who has a control queue says how many pairs it uses, by commands or by a VMM that has that queue
 * and starts as many.
 */
static int net_start(struct vas_device *device, uint64_t features)
{
	struct net *net = (struct net *)device;
	uint32_t i;
	int err = 0;

	net->features = features;
	find_kept(net);
	net->header_len = net_has(net, VIRTIO_F_VERSION_1) || net_has(net, VIRTIO_NET_F_MRG_RXBUF) ?
				  sizeof(struct virtio_net_hdr_v1) :
				  OLD_HEADER;
	for (i = 0; i < net->nr_pairs && net->ops->start && !err; i++)
		err = net->ops->start(net->pairs[i].port, features);
	return err;
}

static void net_stop(struct vas_device *device)
{
	(void)device; /* each queue has let go of its port */
}

static void net_reset(struct vas_device *device)
{
	struct net *net = (struct net *)device;
	uint32_t i;

	for (i = 0; i < net->nr_pairs && net->ops->reset; i++)
		net->ops->reset(net->pairs[i].port);
	pthread_mutex_lock(&net->lock);
	memcpy(net->mac, net->own_mac, sizeof(net->mac));
	pthread_mutex_unlock(&net->lock);
	net_use_pairs(net, net->nr_pairs);
}

static void net_config(struct vas_device *device, uint32_t offset, void *to, uint32_t len)
{
	struct net *net = (struct net *)device;
	struct virtio_net_config config = {
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = (uint16_t)net->nr_pairs,
		.mtu = net->mtu,
	};

	pthread_mutex_lock(&net->lock);
	memcpy(config.mac, net->mac, sizeof(config.mac));
	pthread_mutex_unlock(&net->lock);
	vas_device_copy_config(&config, sizeof(config), offset, to, len);
}

/* RARP: who has this address? It has itself. A switch learns from the frame where it is. */
static void net_announce(struct vas_device *device, const uint8_t *mac)
{
	struct {
		struct ether_header ether;
		struct ether_arp arp;
		uint8_t pad[ETHER_MIN_LEN - ETHER_CRC_LEN - sizeof(struct ether_header) -
			    sizeof(struct ether_arp)];
	} rarp = {
		.ether.ether_type = htons(ETHERTYPE_REVARP),
		.arp.ea_hdr = {
			.ar_hrd = htons(ARPHRD_ETHER),
			.ar_pro = htons(ETHERTYPE_IP),
			.ar_hln = NET_MAC_LEN,
			.ar_pln = 4,
			.ar_op = htons(ARPOP_RREQUEST),
		},
	};
	const struct iovec iov = { &rarp, sizeof(rarp) };
	const struct net_frame frame = { .iov = &iov, .nr = 1, .len = sizeof(rarp) };
	struct net *net = (struct net *)device;

	memset(rarp.ether.ether_dhost, 0xff, NET_MAC_LEN);
	memcpy(rarp.ether.ether_shost, mac, NET_MAC_LEN);
	memcpy(rarp.arp.arp_sha, mac, NET_MAC_LEN);
	memcpy(rarp.arp.arp_tha, mac, NET_MAC_LEN);
	if (net->ops->reaches_others)
		net->ops->send(net->pairs[0].port, &frame);
}

static int net_bind(struct vas_device *device, struct vas *vas)
{
	struct net *net = (struct net *)device;

	return net->ops->bind ? net->ops->bind(net->pairs[0].port, vas) : 0;
}

static int net_may_bind(struct vas_device *device, struct vas *vas)
{
	struct net *net = (struct net *)device;

	return net->ops->may_bind ? net->ops->may_bind(net->pairs[0].port, vas) : 0;
}

static void net_unbind(struct vas_device *device)
{
	struct net *net = (struct net *)device;

	if (net->ops->unbind)
		net->ops->unbind(net->pairs[0].port);
}

static int net_iotlb(struct vas_device *device, uint32_t max_entries, struct vas_iotlb *iotlb)
{
	struct net *net = (struct net *)device;

	return net->ops->iotlb ? net->ops->iotlb(net->pairs[0].port, max_entries, iotlb) : 0;
}

static const struct vas_device_ops net_ops = {
	.may_bind = net_may_bind,
	.bind = net_bind,
	.unbind = net_unbind,
	.iotlb = net_iotlb,
	.start = net_start,
	.stop = net_stop,
	.reset = net_reset,
	.config = net_config,
	.announce = net_announce,
	.queue = net_serve,
};

/* ---- opening ------------------------------------------------------------------------------ */

static uint64_t features_of(const struct net_options *options, const struct net_port_ops *ops)
{
	uint64_t features = ops->features | 1ull << VIRTIO_NET_F_MRG_RXBUF |
			    1ull << VIRTIO_NET_F_STATUS | 1ull << VIRTIO_NET_F_CTRL_VQ |
			    1ull << VIRTIO_NET_F_CTRL_RX | 1ull << VIRTIO_NET_F_GUEST_ANNOUNCE |
			    1ull << VIRTIO_F_IN_ORDER;

	if (options->mac)
		features |= 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_CTRL_MAC_ADDR;
	if (options->mtu)
		features |= 1ull << VIRTIO_NET_F_MTU;
	if (options->nr_pairs > 1)
		features |= 1ull << VIRTIO_NET_F_MQ;
	return features;
}

static int check(const struct net_options *options)
{
	if (!options->nr_pairs || options->nr_pairs > NET_MAX_PAIRS)
		return vas_error_set(-EINVAL, "%u pairs of queues are not 1 to %u",
				     options->nr_pairs, NET_MAX_PAIRS);
	if (options->mtu && options->mtu < NET_MIN_MTU)
		return vas_error_set(-EINVAL, "an MTU of %u is less than %u", options->mtu,
				     NET_MIN_MTU);
	if (options->generate &&
	    (options->generate < NET_MIN_FRAME || options->generate > NET_MAX_FRAME))
		return vas_error_set(-EINVAL, "frames of %u bytes are not %u to %u",
				     options->generate, NET_MIN_FRAME, NET_MAX_FRAME);
	return 0;
}

static int open_ports(struct net *net, const struct net_options *options)
{
	int err = 0;

	while (net->nr_pairs < options->nr_pairs && !err) {
		struct net_pair *pair = &net->pairs[net->nr_pairs];

		err = net->ops->open(net, options, &pair->port);
		if (err)
			break;
		pair->port->ops = net->ops;
		net->nr_pairs++;
	}
	if (err)
		net_close(net);
	return err;
}

int net_open(struct net *net, const struct net_options *options)
{
	static const struct net_port_ops *const kinds[] = {
		[NET_TAP] = &net_tap,	[NET_PACKET] = &net_packet,	[NET_STREAM] = &net_stream,
		[NET_NULL] = &net_null, [NET_LOOPBACK] = &net_loopback, [NET_MODULE] = &net_module,
	};
	int err = check(options);

	if (err)
		return err;
	*net = (struct net){
		.device = {
			.ops = &net_ops,
			.kind = VIRTIO_ID_NET,
			.features = features_of(options, kinds[options->kind]),
			.max_queues = 2 * options->nr_pairs + 1,
			.queue_num = options->nr_pairs,
			.queue_size = options->queue_size,
		},
		.ops = kinds[options->kind],
		.mtu = options->mtu,
		.active_pairs = options->nr_pairs,
	};
	if (options->mac)
		memcpy(net->own_mac, options->mac, sizeof(net->own_mac));
	memcpy(net->mac, net->own_mac, sizeof(net->mac));
	pthread_mutex_init(&net->lock, NULL);
	return open_ports(net, options);
}

void net_close(struct net *net)
{
	uint32_t i;

	for (i = 0; i < net->nr_pairs; i++)
		net->ops->close(net->pairs[i].port);
	pthread_mutex_destroy(&net->lock);
}
