// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "net_guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* For experiments, by IEEE 802: no protocol of the host's answers. */
#define OUR_TYPE 0x88b5

int net_guest_open(struct net_guest *g, struct vas_net_open arg)
{
	arg.vas_fd = arg.vas_fd ?: vas_fd(g->vas);
	if (ioctl(g->net, VAS_NET_OPEN, &arg))
		return -errno;
	memcpy(g->name, arg.name, sizeof(g->name));
	return 0;
}

int net_guest_start(struct net_guest *g, uint32_t index, uint32_t base)
{
	struct virtqueue *q = index % 2 ? &g->transmitq : &g->receiveq;
	struct vas_queue_start arg = {
		.index = index,
		.size = q->size,
		.parts = { q->desc_gpa, q->avail_gpa, q->used_gpa },
		.kick_fd = q->kick,
		.call_fd = q->call,
		.err_fd = q->err,
		.base = base,
	};

	return ioctl(g->net, VAS_NET_START, &arg) ? -errno : 0;
}

struct vas_queue_stopped net_guest_stop(struct net_guest *g, uint32_t index)
{
	struct vas_queue_stopped stopped = { .index = index };

	CHECK_OK(ioctl(g->net, VAS_NET_STOP, &stopped));
	return stopped;
}

void net_guest_up(struct net_guest *g)
{
	struct ifreq ifreq = { .ifr_flags = IFF_UP | IFF_PROMISC };
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(OUR_TYPE) };

	g->sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	CHECK(g->sock >= 0);
	memcpy(ifreq.ifr_name, g->name, sizeof(g->name));
	CHECK_OK(ioctl(g->sock, SIOCSIFFLAGS, &ifreq));
	address.sll_ifindex = (int)if_nametoindex(g->name);
	CHECK(address.sll_ifindex);
	CHECK_OK(bind(g->sock, (struct sockaddr *)&address, sizeof(address)));
}

void net_guest_join(struct net_guest *g, struct vas *vas, char *ram, uint64_t features)
{
	struct vas_net_open arg = { .features = features | VERSION_1, .nr_pairs = 1 };

	*g = (struct net_guest){ .vas = vas,
				 .ram = ram,
				 .net = open("/dev/vas_net", O_RDWR | O_CLOEXEC) };
	if (g->net < 0)
		test_skip("no /dev/vas_net: vas_net.ko is not loaded");
	virtqueue_init(&g->receiveq, g->ram, RECEIVEQ, SIZE);
	virtqueue_init(&g->transmitq, g->ram, TRANSMITQ, SIZE);
	CHECK_OK(net_guest_open(g, arg));
	CHECK_OK(net_guest_start(g, 0, 0));
	CHECK_OK(net_guest_start(g, 1, 0));
	net_guest_up(g);
}

void net_guest_init(struct net_guest *g, uint64_t features)
{
	struct vas *vas = device_vas(64 * MIB, RAM, 0);
	char *ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED, vas_fd(vas), 0);

	CHECK(ram != MAP_FAILED);
	net_guest_join(g, vas, ram, features);
}

void net_frame_fill(void *frame, uint32_t len, uint32_t seed)
{
	static const uint8_t head[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, OUR_TYPE >> 8, OUR_TYPE & 0xff
	};
	uint8_t *bytes = frame;

	for (uint32_t i = 0; i < len; i++)
		bytes[i] = i < sizeof(head) ? head[i] : (uint8_t)(i * 3 + seed + (i >> 8));
}

void net_guest_send(struct net_guest *g, const struct part *parts, int nr, uint64_t table)
{
	struct vring_used_elem elem;
	uint16_t head = virtqueue_add(&g->transmitq, parts, nr, table);

	virtqueue_kick(&g->transmitq);
	CHECK(virtqueue_wait(&g->transmitq, &elem, TEST_HANG_MS));
	CHECK_EQ(elem.id, head);
	CHECK_EQ(elem.len, 0);
}

void net_guest_send_frame(struct net_guest *g, uint32_t len, uint32_t seed)
{
	struct part part = { OUT, (uint32_t)HEADER_LEN + len, 0 };

	memset(g->ram + OUT, 0, HEADER_LEN);
	net_frame_fill(g->ram + OUT + HEADER_LEN, len, seed);
	net_guest_send(g, &part, 1, 0);
}

ssize_t net_host_receive(struct net_guest *g, void *frame, size_t len, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = g->sock, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1 ? recv(g->sock, frame, len, MSG_TRUNC) : -1;
}

void net_host_send(struct net_guest *g, const void *frame, size_t len)
{
	CHECK_EQ(send(g->sock, frame, len, 0), (ssize_t)len);
}

static uint32_t nr_stats(struct net_guest *g, struct ifreq *ifreq)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t nr;
	} sset = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_STATS } };

	ifreq->ifr_data = (void *)&sset;
	CHECK_OK(ioctl(g->sock, SIOCETHTOOL, ifreq));
	return sset.nr;
}

uint64_t net_count(struct net_guest *g, const char *name)
{
	struct ifreq ifreq = { 0 };
	struct ethtool_gstrings *strings;
	struct ethtool_stats *stats;
	uint64_t value = UINT64_MAX;
	uint32_t nr;

	memcpy(ifreq.ifr_name, g->name, sizeof(g->name));
	nr = nr_stats(g, &ifreq);
	strings = calloc(1, sizeof(*strings) + nr * ETH_GSTRING_LEN);
	*strings = (struct ethtool_gstrings){ ETHTOOL_GSTRINGS, ETH_SS_STATS, nr };
	ifreq.ifr_data = (void *)strings;
	CHECK_OK(ioctl(g->sock, SIOCETHTOOL, &ifreq));
	stats = calloc(1, sizeof(*stats) + nr * sizeof(stats->data[0]));
	*stats = (struct ethtool_stats){ ETHTOOL_GSTATS, nr };
	ifreq.ifr_data = (void *)stats;
	CHECK_OK(ioctl(g->sock, SIOCETHTOOL, &ifreq));
	for (uint32_t i = 0; i < nr; i++)
		if (!strcmp((char *)strings->data + i * ETH_GSTRING_LEN, name))
			value = stats->data[i];
	CHECK(value != UINT64_MAX);
	free(strings);
	free(stats);
	return value;
}
