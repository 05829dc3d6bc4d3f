// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vhost-net serves a driver whose memory is a vas: frames go over a tap to a packet socket. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_config.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/consumer/vhost/traffic.h"

#define FEATURES  (1ull << VIRTIO_F_VERSION_1)
#define HEADER	  12 /* of virtio-net, before each frame */
#define FRAME	  1000
#define PROTOCOL  0x88b5 /* for experiments */
#define NR_ROUNDS 100	 /* of hot-plug under load */

struct net {
	struct traffic t;
	int tap;
	int socket; /* on the host's side of the tap */
};

static int tap_open(struct ifreq *request)
{
	int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), header = HEADER;

	if (tap < 0)
		test_skip("/dev/net/tun cannot be opened: %s", strerror(errno));
	request->ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	CHECK_OK(ioctl(tap, TUNSETIFF, request));
	CHECK_OK(ioctl(tap, TUNSETVNETHDRSZ, &header));
	return tap;
}

static int socket_open(struct ifreq *request)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTOCOL) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(PROTOCOL));

	CHECK_OK(fd);
	request->ifr_flags = IFF_UP;
	CHECK_OK(ioctl(fd, SIOCSIFFLAGS, request));
	CHECK_OK(ioctl(fd, SIOCGIFINDEX, request));
	address.sll_ifindex = request->ifr_ifindex;
	CHECK_OK(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

static void net_open(struct net *net)
{
	struct ifreq request = { .ifr_name = "tap%d" };

	traffic_open(&net->t, VAS_VHOST_NET);
	net->tap = tap_open(&request);
	net->socket = socket_open(&request);
	traffic_start(&net->t, FEATURES, net->tap, NULL);
}

static void net_close(struct net *net)
{
	traffic_close(&net->t);
	close(net->socket);
	close(net->tap);
}

static void make_frame(uint8_t *frame, uint8_t seed)
{
	struct ethhdr head = { .h_proto = htons(PROTOCOL) };

	memset(head.h_dest, 0xff, sizeof(head.h_dest));
	memset(head.h_source, 2, sizeof(head.h_source));
	memcpy(frame, &head, sizeof(head));
	for (int i = sizeof(head); i < FRAME; i++)
		frame[i] = (uint8_t)(i * 3 + seed);
}

/* The guest sends: by a buffer at gpa, of which *at is where this process has it. */
static void post(struct net *net, uint64_t gpa, char *at, uint8_t seed)
{
	memset(at, 0, HEADER);
	make_frame((uint8_t *)at + HEADER, seed);
	traffic_offer(&net->t, TX, gpa, HEADER + FRAME);
}

/* The next frame that the guest has sent; not those that this socket sends. */
static void check_sent(const struct net *net, uint8_t seed)
{
	uint8_t want[FRAME], got[2 * FRAME];
	struct sockaddr_ll from;

	do {
		socklen_t len = sizeof(from);

		CHECK_EQ(recvfrom(net->socket, got, sizeof(got), 0, (struct sockaddr *)&from, &len),
			 FRAME);
	} while (from.sll_pkttype == PACKET_OUTGOING);
	make_frame(want, seed);
	CHECK_MEM(got, want, FRAME);
}

/* The host sends, and the guest has it in the buffer that it has offered. */
static void inject(const struct net *net, uint8_t seed)
{
	uint8_t frame[FRAME];

	make_frame(frame, seed);
	CHECK_EQ(send(net->socket, frame, FRAME, 0), FRAME);
}

static void check_received(struct net *net, const char *at, uint8_t seed)
{
	uint8_t want[FRAME];

	CHECK_EQ(traffic_wait(&net->t, RX), HEADER + FRAME);
	make_frame(want, seed);
	CHECK_MEM(at + HEADER, want, FRAME);
}

/* Both ways, by buffers at gpa. */
static void exchange(struct net *net, uint64_t gpa, char *at, uint8_t seed)
{
	post(net, gpa, at, seed);
	check_sent(net, seed);
	CHECK_EQ(traffic_wait(&net->t, TX), 0);
	memset(at, 0, PAGE);
	traffic_offer(&net->t, RX, gpa, PAGE);
	inject(net, seed);
	check_received(net, at, seed);
}

static char *ram(const struct net *net, uint64_t gpa)
{
	return net->t.ram + gpa;
}

TEST(frames_leave_the_guest_and_reach_it)
{
	struct net net;

	net_open(&net);
	for (int i = 0; i < 100; i++)
		exchange(&net, BUFFERS + PAGE * (uint64_t)i, ram(&net, BUFFERS + PAGE * i), i);
	net_close(&net);
}

/* ---- layout -------------------------------------------------------------------------------- */

/* A region in a file of its own, where its bytes can be looked at when no region has them. */
static struct vas_region file_region(struct vas *vas, uint64_t size, char **bytes)
{
	struct vas_region region = { .gpa = GIB, .size = size, .name = "more" };
	int backing = vas_backing_create(vas, "more", size, 0);

	CHECK_OK(backing);
	region.backing = (uint32_t)backing;
	*bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      vas_backing_fd(vas, region.backing), 0);
	CHECK(*bytes != MAP_FAILED);
	return region;
}

TEST(memory_that_comes_is_used_and_what_goes_is_not)
{
	struct vas_region more;
	struct net net;
	uint64_t id;
	char *bytes;

	net_open(&net);
	more = file_region(net.t.vas, MIB, &bytes);
	CHECK_OK(vas_region_add(net.t.vas, &more, &id));
	exchange(&net, GIB + PAGE, bytes + PAGE, 1);
	CHECK_OK(vas_region_remove(net.t.vas, id));
	exchange(&net, BUFFERS, ram(&net, BUFFERS), 2);
	memset(bytes, 0, MIB);
	traffic_offer(&net.t, RX, GIB + PAGE, PAGE);
	inject(&net, 3);
	CHECK(virtqueue_is_broken(&net.t.queues[RX], TEST_HANG_MS));
	for (uint64_t i = 0; i < MIB; i++)
		CHECK(!bytes[i]);
	net_close(&net);
}

TEST(a_ring_that_is_served_keeps_its_memory)
{
	uint32_t bases[VAS_VHOST_QUEUES];
	struct net net;

	net_open(&net);
	exchange(&net, BUFFERS, ram(&net, BUFFERS), 1);
	CHECK_EQ(vas_region_remove(net.t.vas, net.t.rings_id), -EBUSY);
	CHECK_STR(vas_error(),
		  "vhost-net: queue 0 runs, and its ring is in [0, +0x100000) of region "
		  "rings: stop it first");
	/* A part in which there is no ring may go. */
	CHECK_OK(vas_region_resize(net.t.vas, net.t.rings_id, RINGS / 2));
	exchange(&net, BUFFERS, ram(&net, BUFFERS), 2);
	vas_vhost_stop(net.t.vhost, bases);
	CHECK_OK(vas_region_remove(net.t.vas, net.t.rings_id));
	net_close(&net);
}

struct load {
	struct net *net;
	int is_over;
	int nr;
};

static void *load_run(void *arg)
{
	struct load *load = arg;

	do {
		uint64_t gpa = BUFFERS + PAGE * (uint64_t)(load->nr % 1000);

		exchange(load->net, gpa, ram(load->net, gpa), (uint8_t)load->nr++);
	} while (!__atomic_load_n(&load->is_over, __ATOMIC_ACQUIRE));
	return NULL;
}

TEST(layouts_change_under_traffic)
{
	struct vas_region more = { .gpa = GIB, .size = MIB, .offset = GIB };
	struct net net;
	struct load load = { .net = &net };
	pthread_t thread;
	uint64_t id;

	net_open(&net);
	CHECK_OK(pthread_create(&thread, NULL, load_run, &load));
	for (int i = 0; i < NR_ROUNDS; i++) {
		CHECK_OK(vas_region_add(net.t.vas, &more, &id));
		CHECK_OK(vas_region_resize(net.t.vas, id, 2 * MIB));
		CHECK_OK(vas_region_move(net.t.vas, id, GIB + MIB));
		CHECK_OK(vas_region_remove(net.t.vas, id));
	}
	__atomic_store_n(&load.is_over, 1, __ATOMIC_RELEASE);
	CHECK_OK(pthread_join(thread, NULL));
	CHECK(load.nr > 1);
	net_close(&net);
}

/* ---- start, stop, freeze ------------------------------------------------------------------- */

TEST(queues_stop_and_go_on_where_they_stood)
{
	struct net net;

	net_open(&net);
	for (uint32_t i = 1; i < 4; i++) {
		uint32_t bases[VAS_VHOST_QUEUES] = { 0, 0 };

		exchange(&net, BUFFERS, ram(&net, BUFFERS), (uint8_t)i);
		vas_vhost_stop(net.t.vhost, bases);
		CHECK_EQ(bases[RX], i);
		CHECK_EQ(bases[TX], i);
		traffic_start(&net.t, FEATURES, net.tap, bases);
	}
	net_close(&net);
}

TEST(nothing_is_written_while_frozen_and_nothing_is_lost)
{
	struct net net;
	char *rx, *tx;

	net_open(&net);
	rx = ram(&net, BUFFERS);
	tx = ram(&net, BUFFERS + PAGE);
	exchange(&net, BUFFERS, rx, 1);
	CHECK_OK(vas_freeze(net.t.vas, TEST_HANG_NS, NULL));
	memset(rx, 0, PAGE);
	traffic_offer(&net.t, RX, BUFFERS, PAGE);
	inject(&net, 2);
	post(&net, BUFFERS + PAGE, tx, 3);
	usleep(200000); /* a device that has not stopped would use it */
	CHECK_EQ(net.t.queues[RX].used->idx, 1);
	CHECK_EQ(net.t.queues[TX].used->idx, 1);
	CHECK(!rx[HEADER]);
	CHECK_OK(vas_thaw(net.t.vas));
	check_received(&net, rx, 2);
	check_sent(&net, 3);
	net_close(&net);
}

TEST(queues_that_start_in_a_frozen_vas_run_when_it_is_thawed)
{
	uint32_t bases[VAS_VHOST_QUEUES];
	struct net net;

	net_open(&net);
	vas_vhost_stop(net.t.vhost, bases);
	CHECK_OK(vas_freeze(net.t.vas, TEST_HANG_NS, NULL));
	traffic_start(&net.t, FEATURES, net.tap, bases);
	CHECK_OK(vas_thaw(net.t.vas));
	exchange(&net, BUFFERS, ram(&net, BUFFERS), 1);
	net_close(&net);
}

/* ---- dirty log ----------------------------------------------------------------------------- */

/* The page's bit in the words that are harvested now. */
struct epoch {
	struct vas_tracker *tracker;
	const struct vas_dirty_word *words;
	size_t nr;
};

static void epoch_take(struct epoch *epoch)
{
	uint64_t gpa = 0;

	CHECK_OK(vas_tracker_begin(epoch->tracker));
	while (gpa < 4 * GIB)
		CHECK_OK(vas_tracker_harvest(epoch->tracker, &gpa, 4 * GIB, 64, &epoch->words));
	epoch->nr = vas_tracker_harvested(epoch->tracker, &epoch->words);
}

static int is_dirty(const struct epoch *epoch, uint64_t gpa)
{
	for (size_t i = 0; i < epoch->nr; i++)
		if (epoch->words[i].gpa == (gpa & ~(64 * PAGE - 1)))
			return epoch->words[i].bits >> (gpa / PAGE % 64) & 1;
	return 0;
}

TEST(what_vhost_net_writes_is_dirty)
{
	struct epoch epoch;
	struct net net;
	int i;

	net_open(&net);
	exchange(&net, BUFFERS, ram(&net, BUFFERS), 1);
	CHECK_OK(vas_tracker_attach(net.t.vas, "test", 0, &epoch.tracker));
	for (i = 0; i < 3; i++) {
		uint64_t gpa = BUFFERS + PAGE * (uint64_t)(i * 100 + 7);

		traffic_offer(&net.t, RX, gpa, PAGE);
		inject(&net, 2);
		check_received(&net, ram(&net, gpa), 2);
		epoch_take(&epoch);
		CHECK(is_dirty(&epoch, gpa));
		CHECK(is_dirty(&epoch, net.t.queues[RX].used_gpa));
		CHECK(!is_dirty(&epoch, gpa + PAGE));
		CHECK(!is_dirty(&epoch, gpa - 100 * PAGE));
		CHECK_OK(vas_tracker_commit(epoch.tracker));
	}
	vas_tracker_detach(epoch.tracker);
	exchange(&net, BUFFERS, ram(&net, BUFFERS), 3);
	net_close(&net);
}
