// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The process is the guest's driver, and a program of the host that sends by the interface. What
 * the guest sends is for nobody there: the stack drops it.
 */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../guest.h"
#include "kernel/modules/bench/vas_bench.h"
#include "include/uapi/linux/vas_net.h"
#include "ticks.h"

#define RAM	   (16ull << 20)
#define SIZE	   256u /* of a queue */
#define BURST	   64u
#define PAGE	   4096u
#define NR_BURSTS  16 /* in a part, of which the best counts */
#define NR_PARTS   6
#define HEADER_LEN sizeof(struct virtio_net_hdr_v1)
#define MAX_FRAME  (65536 - (uint32_t)HEADER_LEN)
#define PROTOCOL   0x88b5 /* for experiments */
#define HEADERS	   54u	  /* of a segment: Ethernet, IP, TCP */
#define MSS	   1448

/* Where things are in guest memory. */
#define RING(index)   (0x10000ull * ((index) + 1))
#define BUFFER(index) (0x100000ull + PAGE * (uint64_t)(index)) /* one a descriptor, to receive */
#define OUT(index)    (0x400000ull + PAGE * (uint64_t)(index)) /* one a descriptor */
#define LARGE	      0x800000ull /* a frame of 64 KiB, for all that send one */

#define FEATURES                                                        \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX | \
	 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_NET_F_MRG_RXBUF)
#define OFFLOADS                                                       \
	(1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM | \
	 1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO4)

enum { RX, TX };

struct ring {
	uint64_t gpa[3]; /* of its parts */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t *avail_event;
	uint16_t posted, answered; /* chains; each has as many descriptors as all others */
	uint16_t nr_descs;	   /* of a chain */
	int kick, call;
};

struct net {
	enum net_kind kind;
	uint32_t len; /* of a frame */
	struct guest guest;
	char *ram; /* gpa 0 */
	int device, tap, sock;
	char name[IFNAMSIZ];
	struct ring rings[2];
	struct mmsghdr messages[BURST];
	struct iovec iovecs[2];
	char frame[MAX_FRAME];
};

/* ---- the driver ---------------------------------------------------------------------------- */

static void ring_init(struct net *net, int index, uint16_t nr_descs)
{
	struct ring *ring = &net->rings[index];

	*ring = (struct ring){ .nr_descs = nr_descs };
	ring->gpa[0] = RING(index);
	ring->gpa[1] = RING(index) + SIZE * sizeof(struct vring_desc);
	ring->gpa[2] = ring->gpa[1] + PAGE;
	ring->desc = (void *)(net->ram + ring->gpa[0]);
	ring->avail = (void *)(net->ram + ring->gpa[1]);
	ring->used = (void *)(net->ram + ring->gpa[2]);
	ring->avail_event = (void *)(net->ram + ring->gpa[2] + offsetof(struct vring_used, ring) +
				     SIZE * sizeof(struct vring_used_elem));
	ring->kick = eventfd(0, EFD_CLOEXEC);
	ring->call = eventfd(0, EFD_CLOEXEC);
}

static void ring_post(struct ring *ring, unsigned int nr)
{
	uint16_t from = ring->posted;
	uint64_t one = 1;

	for (unsigned int i = 0; i < nr; i++, ring->posted++)
		ring->avail->ring[ring->posted % SIZE] =
			(uint16_t)(ring->posted * ring->nr_descs % SIZE);
	__atomic_store_n(&ring->avail->idx, ring->posted, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vring_need_event(__atomic_load_n(ring->avail_event, __ATOMIC_RELAXED), ring->posted,
			     from) &&
	    write(ring->kick, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* Until there are so many answers, with one interrupt. */
static void ring_wait(struct ring *ring, uint16_t nr)
{
	uint16_t until = (uint16_t)(ring->answered + nr);
	uint64_t count;

	__atomic_store_n(&ring->avail->ring[SIZE], (uint16_t)(until - 1), __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	while ((int16_t)(__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) - until) < 0)
		if (read(ring->call, &count, sizeof(count)) != sizeof(count))
			abort();
	ring->answered = until;
}

static void fill_receiveq(struct net *net)
{
	for (uint16_t i = 0; i < SIZE; i++)
		net->rings[RX].desc[i] =
			(struct vring_desc){ BUFFER(i), PAGE, VRING_DESC_F_WRITE, 0 };
	ring_post(&net->rings[RX], SIZE);
}

static bool is_large(const struct net *net)
{
	return net->len > PAGE - HEADER_LEN;
}

/* As Linux does: the headers, then pages that are neighbours. */
static void fill_transmitq(struct net *net, const struct virtio_net_hdr_v1 *header)
{
	uint32_t rest = (uint32_t)HEADER_LEN + net->len - 128;
	struct vring_desc *desc = net->rings[TX].desc;

	for (uint16_t i = 0; i < SIZE && !is_large(net); i++) {
		memcpy(net->ram + OUT(i), header, HEADER_LEN);
		memcpy(net->ram + OUT(i) + HEADER_LEN, net->frame, net->len);
		desc[i] = (struct vring_desc){ OUT(i), (uint32_t)HEADER_LEN + net->len, 0, 0 };
	}
	if (!is_large(net))
		return;
	memcpy(net->ram + OUT(0), header, HEADER_LEN);
	memcpy(net->ram + OUT(0) + HEADER_LEN, net->frame, 128 - HEADER_LEN);
	memcpy(net->ram + LARGE, net->frame + 128 - HEADER_LEN, rest);
	for (uint16_t i = 0; i < SIZE; i = (uint16_t)(i + 4)) {
		desc[i] = (struct vring_desc){ OUT(0), 128, VRING_DESC_F_NEXT, i + 1 };
		desc[i + 1] = (struct vring_desc){ LARGE, rest / 2, VRING_DESC_F_NEXT, i + 2 };
		desc[i + 2] = (struct vring_desc){ LARGE + rest / 2, rest - rest / 2, 0, 0 };
	}
}

/* ---- frames -------------------------------------------------------------------------------- */

/* A frame of nobody's protocol, or a long one of TCP, to a station that is not here. */
static struct virtio_net_hdr_v1 make_frame(struct net *net)
{
	struct ethhdr eth = { .h_dest = { 2, 1 },
			      .h_source = { 2, 2 },
			      .h_proto = htons(PROTOCOL) };
	uint8_t *ip = (uint8_t *)net->frame + sizeof(eth);
	uint16_t ip_len = htons((uint16_t)(net->len - sizeof(eth)));

	memset(net->frame, 0x5a, net->len);
	memcpy(net->frame, &eth, sizeof(eth));
	if (!is_large(net))
		return (struct virtio_net_hdr_v1){ .num_buffers = 1 };
	eth.h_proto = htons(ETH_P_IP);
	memcpy(net->frame, &eth, sizeof(eth));
	memset(ip, 0, HEADERS - sizeof(eth));
	ip[0] = 0x45;
	memcpy(ip + 2, &ip_len, sizeof(ip_len));
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	ip[12] = ip[16] = 192;
	ip[15] = 1;
	ip[19] = 2;
	ip[20 + 12] = 5 << 4;
	return (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = HEADERS,
		.gso_size = MSS,
		.csum_start = sizeof(eth) + 20,
		.csum_offset = 16,
		.num_buffers = 1,
	};
}

static unsigned int burst_of(const struct net *net)
{
	return is_large(net) ? 8 : BURST;
}

/* Buffers that a frame takes. */
static uint16_t nr_buffers(const struct net *net)
{
	return (uint16_t)((HEADER_LEN + net->len + PAGE - 1) / PAGE);
}

static void burst_to_guest(struct net *net)
{
	unsigned int nr = burst_of(net);
	struct ring *ring = &net->rings[RX];
	uint16_t nr_answers = (uint16_t)(nr * nr_buffers(net));

	if (sendmmsg(net->sock, net->messages, nr, 0) != (int)nr)
		abort();
	if (net->kind == NET_SINK)
		return;
	ring_wait(ring, nr_answers);
	ring_post(ring, nr_answers);
}

static void burst_from_guest(struct net *net)
{
	unsigned int nr = burst_of(net);

	ring_post(&net->rings[TX], nr);
	ring_wait(&net->rings[TX], (uint16_t)nr);
}

/* ---- devices ------------------------------------------------------------------------------- */

static int start_vas(struct net *net)
{
	struct vas_net_open open_arg = { .vas_fd = vas_fd(net->guest.vas),
					 .features = FEATURES | OFFLOADS,
					 .nr_pairs = 1 };
	int err;

	net->device = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	if (net->device < 0)
		return -ENODEV;
	err = ioctl(net->device, VAS_NET_OPEN, &open_arg);
	memcpy(net->name, open_arg.name, sizeof(net->name));
	for (uint32_t i = 0; i < 2 && !err; i++) {
		struct ring *ring = &net->rings[i];
		struct vas_queue_start arg = {
			.index = i,
			.size = SIZE,
			.parts = { ring->gpa[0], ring->gpa[1], ring->gpa[2] },
			.kick_fd = ring->kick,
			.call_fd = ring->call,
			.err_fd = -1,
		};

		err = ioctl(net->device, VAS_NET_START, &arg);
	}
	return err ? -errno : 0;
}

static int use_sink(struct net *net)
{
	strcpy(net->name, VAS_BENCH_SINK);
	return 0;
}

static int open_tap(struct net *net)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int size = HEADER_LEN;

	net->tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (net->tap < 0)
		return -ENODEV;
	if (ioctl(net->tap, TUNSETIFF, &request) || ioctl(net->tap, TUNSETVNETHDRSZ, &size) ||
	    ioctl(net->tap, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_TSO4)))
		return -errno;
	memcpy(net->name, request.ifr_name, sizeof(net->name));
	return 0;
}

static int set_memory(struct net *net)
{
	struct {
		struct vhost_memory head;
		struct vhost_memory_region region;
	} table = { { .nregions = 1 }, { 0, RAM, (uintptr_t)net->ram, 0 } };
	uint64_t features = FEATURES;

	return ioctl(net->device, VHOST_SET_OWNER) ||
	       ioctl(net->device, VHOST_SET_FEATURES, &features) ||
	       ioctl(net->device, VHOST_SET_MEM_TABLE, &table);
}

static int start_vhost_ring(struct net *net, unsigned int index)
{
	struct ring *ring = &net->rings[index];
	struct vhost_vring_state size = { index, SIZE }, base = { index, 0 };
	struct vhost_vring_file kick = { index, ring->kick }, call = { index, ring->call };
	struct vhost_vring_file tap = { index, net->tap };
	struct vhost_vring_addr addr = { .index = index,
					 .desc_user_addr = (uintptr_t)ring->desc,
					 .avail_user_addr = (uintptr_t)ring->avail,
					 .used_user_addr = (uintptr_t)ring->used };

	return ioctl(net->device, VHOST_SET_VRING_NUM, &size) ||
	       ioctl(net->device, VHOST_SET_VRING_BASE, &base) ||
	       ioctl(net->device, VHOST_SET_VRING_ADDR, &addr) ||
	       ioctl(net->device, VHOST_SET_VRING_KICK, &kick) ||
	       ioctl(net->device, VHOST_SET_VRING_CALL, &call) ||
	       ioctl(net->device, VHOST_NET_SET_BACKEND, &tap);
}

static int start_vhost(struct net *net)
{
	int err;

	net->device = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	if (net->device < 0)
		return -ENODEV;
	err = open_tap(net);
	if (err)
		return err;
	if (set_memory(net) || start_vhost_ring(net, RX) || start_vhost_ring(net, TX))
		return -errno;
	return 0;
}

/* What is sent by it needs no queue of packets, but goes to the device at once. */
static int set_up(struct net *net)
{
	struct ifreq request = { .ifr_flags = IFF_UP };
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	int one = 1;

	net->sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	memcpy(request.ifr_name, net->name, sizeof(net->name));
	if (net->sock < 0 || ioctl(net->sock, SIOCSIFFLAGS, &request))
		return -errno;
	address.sll_ifindex = (int)if_nametoindex(net->name);
	if (setsockopt(net->sock, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) ||
	    setsockopt(net->sock, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    bind(net->sock, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return 0;
}

static int net_open(struct net *net)
{
	static int (*const start[])(struct net *) = {
		[NET_SINK] = use_sink, [NET_VAS] = start_vas, [NET_VHOST] = start_vhost
	};
	static struct virtio_net_hdr_v1 header;
	int err = guest_create(&net->guest, 1, RAM);

	if (err)
		return err;
	net->ram = (char *)net->guest.flat;
	ring_init(net, RX, 1);
	ring_init(net, TX, is_large(net) ? 4 : 1);
	header = make_frame(net);
	net->iovecs[0] = (struct iovec){ &header, sizeof(struct virtio_net_hdr) };
	net->iovecs[1] = (struct iovec){ net->frame, net->len };
	for (unsigned int i = 0; i < BURST; i++)
		net->messages[i].msg_hdr =
			(struct msghdr){ .msg_iov = net->iovecs, .msg_iovlen = 2 };
	fill_receiveq(net);
	fill_transmitq(net, &header);
	err = start[net->kind](net);
	return err ?: set_up(net);
}

static void net_close(struct net *net)
{
	const int fds[] = { net->sock,		net->device,	    net->tap,
			    net->rings[0].kick, net->rings[0].call, net->rings[1].kick,
			    net->rings[1].call };

	for (unsigned int i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] > 0)
			close(fds[i]);
	if (net->ram)
		guest_destroy(&net->guest);
}

/* ---- measuring ----------------------------------------------------------------------------- */

static double part(struct net *net, bool to_guest, bool ticks)
{
	double begin = ticks_now(ticks);

	for (int i = 0; i < NR_BURSTS; i++)
		(to_guest ? burst_to_guest : burst_from_guest)(net);
	return (ticks_now(ticks) - begin) / NR_BURSTS / burst_of(net);
}

int net_measure(enum net_kind kind, bool to_guest, uint32_t len, bool ticks, double *rounds,
		unsigned int nr_rounds)
{
	struct net *net = calloc(1, sizeof(*net));
	int err;

	net->kind = kind;
	net->len = len;
	err = net_open(net);
	if (!err)
		part(net, to_guest, ticks);
	for (unsigned int i = 0; i < nr_rounds && !err; i++) {
		rounds[i] = 1e18;
		for (int j = 0; j < NR_PARTS; j++) {
			double cost = part(net, to_guest, ticks);

			rounds[i] = cost < rounds[i] ? cost : rounds[i];
		}
	}
	net_close(net);
	free(net);
	return err;
}
