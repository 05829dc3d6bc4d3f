// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_net.ko: the test is the guest's driver, and a program of the host that uses the interface. */
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "include/uapi/linux/vas.h"
#include "net_guest.h"

static char frame[MAX_FRAME + 1], expected[MAX_FRAME];

/* ---- to the host --------------------------------------------------------------------------- */

static void host_gets(struct net_guest *g, uint32_t len, uint32_t seed)
{
	net_frame_fill(expected, len, seed);
	CHECK_EQ(net_host_receive(g, frame, sizeof(frame), TEST_HANG_MS), len);
	CHECK_MEM(frame, expected, len);
}

static void sends(uint64_t features)
{
	struct net_guest g;

	net_guest_init(&g, features);
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t len = 14 + i * 7;

		test_note("frame %u", i);
		net_guest_send_frame(&g, len, i);
		host_gets(&g, len, i);
	}
	CHECK_EQ(net_count(&g, "guest_queue_0_tx_packets"), 200);
	CHECK_EQ(net_guest_stop(&g, 1).nr_requests, 200);
}

TEST(frames_go_to_the_host)
{
	sends(0);
}

TEST(frames_go_to_the_host_with_event_indexes)
{
	sends(EVENT | INDIRECT);
}

TEST(a_frame_may_be_cut_anywhere)
{
	struct part parts[] = {
		{ OUT, 5, 0 },	     { OUT + 5, 7 + 3, 0 },  { OUT + 15, 0, 0 },
		{ OUT + 15, 90, 0 }, { OUT + 105, 1007, 0 },
	};
	struct net_guest g;

	net_guest_init(&g, INDIRECT);
	for (uint32_t i = 0; i < 20; i++) {
		net_frame_fill(g.ram + OUT + HEADER_LEN, 1100, i);
		net_guest_send(&g, parts, 5, i % 2 ? TABLE : 0);
		host_gets(&g, 1100, i);
	}
}

TEST(a_large_frame_goes_to_the_host)
{
	struct net_guest g;

	net_guest_init(&g, 0);
	for (uint32_t len = 2000; len <= 65535; len = len * 5 / 4 + 1) {
		net_guest_send_frame(&g, len, len);
		host_gets(&g, len, len);
	}
}

/* Its memory is used again, but not before. More than there is to be used again. */
TEST(a_frame_stays_as_it_is_until_the_host_has_read_it)
{
	static const uint32_t lens[] = { 60, 1500, 60000 };
	int room = 64 * (int)MIB;
	struct net_guest g;

	net_guest_init(&g, 0);
	CHECK_OK(setsockopt(g.sock, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)));
	for (uint32_t round = 0; round < 5; round++) {
		for (uint32_t i = 0; i < 100; i++)
			net_guest_send_frame(&g, lens[i % 3], i + round);
		for (uint32_t i = 0; i < 100; i++) {
			test_note("round %u, frame %u", round, i);
			host_gets(&g, lens[i % 3], i + round);
		}
	}
}

/* Pages that nobody has touched are not there, and have to be made. */
TEST(what_takes_sleep_to_be_read_is_sent_in_its_turn)
{
	struct part plain = { OUT, (uint32_t)HEADER_LEN + 100, 0 };
	struct part many[100];
	struct net_guest g;

	net_guest_init(&g, INDIRECT);
	net_frame_fill(g.ram + OUT + HEADER_LEN, 1200 - HEADER_LEN, 1);
	for (uint32_t i = 0; i < 100; i++)
		many[i] = (struct part){ OUT + i * 12, 12, 0 };
	for (uint32_t i = 0; i < 10; i++) {
		struct part untouched[] = { plain, { 0x300000 + i * PAGE, 200, 0 } };

		virtqueue_add(&g.transmitq, &plain, 1, 0);
		virtqueue_add(&g.transmitq, untouched, 2, 0);
		virtqueue_add(&g.transmitq, many, 100, TABLE);
		virtqueue_kick(&g.transmitq);
		net_frame_fill(expected, 1200 - HEADER_LEN, 1);
		CHECK_EQ(net_host_receive(&g, frame, sizeof(frame), TEST_HANG_MS), 100);
		CHECK_MEM(frame, expected, 100);
		CHECK_EQ(net_host_receive(&g, frame, sizeof(frame), TEST_HANG_MS), 300);
		CHECK_MEM(frame, expected, 100);
		for (uint32_t at = 100; at < 300; at++)
			CHECK_EQ(frame[at], 0);
		CHECK_EQ(net_host_receive(&g, frame, sizeof(frame), TEST_HANG_MS),
			 1200 - HEADER_LEN);
		CHECK_MEM(frame, expected, 1200 - HEADER_LEN);
	}
}

TEST(a_frame_of_no_sensible_length_is_an_error_of_the_frame)
{
	struct net_guest g;

	net_guest_init(&g, 0);
	net_guest_send_frame(&g, 13, 0);
	net_guest_send_frame(&g, 0, 0);
	net_guest_send_frame(&g, MAX_FRAME + 9, 0);
	CHECK_EQ(net_count(&g, "guest_queue_0_tx_errors"), 3);
	net_guest_send_frame(&g, 14, 1);
	host_gets(&g, 14, 1);
}

/* What was not agreed on, and what makes no sense of the frame. */
TEST(a_header_that_makes_no_sense_is_an_error_of_the_frame)
{
	static const struct virtio_net_hdr_v1 bad[] = {
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 65535, .csum_offset = 16 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 999, .csum_offset = 65535 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 100, .hdr_len = 54 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 100, .hdr_len = 54 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 100, .hdr_len = 42 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_ECN, .gso_size = 100 },
		{ .gso_type = 0x7f },
	};
	struct part part = { OUT, (uint32_t)HEADER_LEN + 1000, 0 };
	uint64_t nr_errors;
	struct net_guest g;

	for (int agreed = 0; agreed < 2; agreed++) {
		net_guest_init(&g, agreed ? FEATURE(CSUM) | FEATURE(HOST_TSO4) : 0);
		net_frame_fill(g.ram + OUT + HEADER_LEN, 1000, 3);
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			memcpy(g.ram + OUT, &bad[i], HEADER_LEN);
			nr_errors = net_count(&g, "guest_queue_0_tx_errors");
			net_guest_send(&g, &part, 1, 0);
			test_note("header %zu", i);
			CHECK_EQ(net_count(&g, "guest_queue_0_tx_errors"), nr_errors + 1);
		}
		net_guest_send_frame(&g, 100, 1);
		host_gets(&g, 100, 1);
		close(g.net);
	}
}

/* ---- to the guest -------------------------------------------------------------------------- */

static void post(struct net_guest *g, const struct part *parts, int nr)
{
	virtqueue_add(&g->receiveq, parts, nr, 0);
	virtqueue_kick(&g->receiveq);
}

static void post_one(struct net_guest *g, uint64_t gpa, uint32_t len)
{
	struct part part = { gpa, len, 1 };

	post(g, &part, 1);
}

static void host_sends(struct net_guest *g, uint32_t len, uint32_t seed)
{
	net_frame_fill(frame, len, seed);
	net_host_send(g, frame, len);
}

static void guest_gets(struct net_guest *g, uint64_t gpa, uint32_t len, uint32_t seed)
{
	const struct virtio_net_hdr_v1 *header = (void *)(g->ram + gpa);
	struct vring_used_elem elem;

	CHECK(virtqueue_wait(&g->receiveq, &elem, TEST_HANG_MS));
	CHECK_EQ(elem.len, HEADER_LEN + len);
	CHECK_EQ(header->num_buffers, 1);
	CHECK_EQ(header->flags, 0);
	CHECK_EQ(header->gso_type, 0);
	net_frame_fill(expected, len, seed);
	CHECK_MEM(g->ram + gpa + HEADER_LEN, expected, len);
}

static void receives(uint64_t features)
{
	struct net_guest g;

	net_guest_init(&g, features);
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t len = 14 + i * 7;

		test_note("frame %u", i);
		post_one(&g, IN, 2048);
		host_sends(&g, len, i);
		guest_gets(&g, IN, len, i);
	}
	CHECK_EQ(net_count(&g, "guest_queue_0_rx_packets"), 200);
}

TEST(frames_go_to_the_guest)
{
	receives(0);
}

TEST(frames_go_to_the_guest_with_event_indexes)
{
	receives(EVENT | INDIRECT | FEATURE(MRG_RXBUF));
}

TEST(frames_wait_for_buffers_and_keep_their_order)
{
	struct net_guest g;

	net_guest_init(&g, EVENT);
	for (uint32_t i = 0; i < 100; i++)
		host_sends(&g, 100 + i, i);
	for (uint32_t i = 0; i < 100; i++) {
		post_one(&g, IN, 2048);
		guest_gets(&g, IN, 100 + i, i);
	}
}

/* Buffers of `size` bytes, the first in pieces that cut the count in two. */
static void is_merged(struct net_guest *g, uint32_t size, uint32_t len)
{
	struct part first[] = { { IN, 11, 1 }, { IN + 11, 3, 1 }, { IN + 14, size - 14, 1 } };
	const struct virtio_net_hdr_v1 *header = (void *)(g->ram + IN);
	uint32_t nr = ((uint32_t)HEADER_LEN + len + size - 1) / size;
	struct vring_used_elem elem;

	memset(g->ram + IN, 0x55, HEADER_LEN + len + size);
	post(g, first, 3);
	host_sends(g, len, size);
	CHECK(nr == 1 || !virtqueue_wait(&g->receiveq, &elem, 30));
	for (uint32_t i = 1; i < nr; i++)
		post_one(g, IN + i * size, size);
	for (uint32_t i = 0; i < nr; i++) {
		CHECK(virtqueue_wait(&g->receiveq, &elem, TEST_HANG_MS));
		CHECK_EQ(elem.len, i + 1 < nr ? size : HEADER_LEN + len - i * size);
	}
	CHECK_EQ(header->num_buffers, nr);
	net_frame_fill(expected, len, size);
	CHECK_MEM(g->ram + IN + HEADER_LEN, expected, len);
}

TEST(a_frame_may_be_spread_over_buffers)
{
	struct net_guest g;

	net_guest_init(&g, EVENT | FEATURE(MRG_RXBUF));
	is_merged(&g, 100, 1500);
	is_merged(&g, 64, 1000);
	is_merged(&g, 1526, 1514);
	is_merged(&g, 25, 1498);
}

TEST(a_frame_that_never_fits_is_dropped)
{
	struct net_guest g;

	net_guest_init(&g, 0);
	post_one(&g, IN, 200);
	host_sends(&g, 189, 1);
	host_sends(&g, 188, 2);
	guest_gets(&g, IN, 188, 2);
	CHECK_EQ(net_count(&g, "guest_queue_0_rx_dropped"), 1);
	close(g.net);
	/* Nor does one that would take more buffers than anybody has. */
	net_guest_init(&g, FEATURE(MRG_RXBUF));
	for (int i = 0; i < 64; i++)
		post_one(&g, IN + 1024 + (uint64_t)i * 16, 16);
	host_sends(&g, 64 * 16 - 11, 3);
	host_sends(&g, 20, 4);
	for (int i = 0; i < 2; i++) {
		struct vring_used_elem elem;

		CHECK(virtqueue_wait(&g.receiveq, &elem, TEST_HANG_MS));
		CHECK_EQ(elem.len, 16);
	}
	net_frame_fill(expected, 20, 4);
	CHECK_MEM(g.ram + IN + 1024 + HEADER_LEN, expected, 20);
	CHECK_EQ(net_count(&g, "guest_queue_0_rx_dropped"), 1);
}

static uint64_t nr_at_once(struct net_guest *g)
{
	return net_count(g, "guest_queue_0_rx_at_once");
}

/* But for the first ones: the thread may still have its first look at the ring. */
static void receives_at_once(uint64_t features, uint64_t table)
{
	struct part part = { IN, 2048, 1 };
	struct net_guest g;

	net_guest_init(&g, features);
	for (uint32_t i = 0; i < 200; i++) {
		virtqueue_add(&g.receiveq, &part, 1, table);
		host_sends(&g, 100 + i, i);
		guest_gets(&g, IN, 100 + i, i);
	}
	CHECK(nr_at_once(&g) >= 190);
	CHECK_EQ(net_count(&g, "guest_queue_0_rx_packets"), 200);
	close(g.net);
}

TEST(a_frame_that_finds_a_buffer_waits_for_no_thread)
{
	receives_at_once(0, 0);
	receives_at_once(EVENT, 0);
	receives_at_once(EVENT | INDIRECT, TABLE);
}

/* Who sends does not look at all of a driver's descriptors; and makes no pages for the guest. */
TEST(a_frame_that_takes_long_is_left_to_the_thread)
{
	struct part many[300], untouched = { 0x300000, 2048, 1 };
	struct net_guest g;

	net_guest_init(&g, EVENT | INDIRECT);
	for (uint32_t i = 0; i < 300; i++)
		many[i] = (struct part){ IN + i * 8, 8, 1 };
	virtqueue_add(&g.receiveq, many, 300, TABLE);
	host_sends(&g, 1000, 1);
	guest_gets(&g, IN, 1000, 1);
	virtqueue_add(&g.receiveq, &untouched, 1, 0);
	host_sends(&g, 1000, 2);
	guest_gets(&g, 0x300000, 1000, 2);
	CHECK_EQ(nr_at_once(&g), 0);
}

TEST(no_more_waits_than_there_is_room_for)
{
	struct net_guest g;

	net_guest_init(&g, 0);
	for (uint32_t i = 0; i < 1500; i++)
		host_sends(&g, 60, i);
	CHECK_EQ(net_count(&g, "guest_queue_0_rx_no_room"), 1500 - 1024);
	post_one(&g, IN, 2048);
	guest_gets(&g, IN, 60, 0);
}

/* ---- large frames -------------------------------------------------------------------------- */

#define IP_HEADER  20
#define TCP_HEADER 20
#define HEADERS	   (14 + IP_HEADER + TCP_HEADER)

/* A TCP frame of which the other side is to make segments of gso_size. */
static void fill_tcp(char *to, uint32_t len, struct virtio_net_hdr_v1 *header)
{
	uint8_t *ip = (uint8_t *)to + 14, *tcp = ip + IP_HEADER;

	net_frame_fill(to, len, 9);
	to[12] = 8;
	to[13] = 0;
	memset(ip, 0, IP_HEADER + TCP_HEADER);
	ip[0] = 0x45;
	ip[2] = (uint8_t)((len - 14) >> 8);
	ip[3] = (uint8_t)(len - 14);
	ip[8] = 64;
	ip[9] = 6;
	ip[12] = ip[16] = 192;
	ip[15] = 1;
	ip[19] = 2;
	tcp[12] = 5 << 4;
	*header = (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = HEADERS,
		.gso_size = 1448,
		.csum_start = 14 + IP_HEADER,
		.csum_offset = 16,
	};
}

/* A socket that sees headers, too, and all protocols. */
static int header_socket(struct net_guest *g)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = 0x0008, /* IP */
		.sll_ifindex = (int)if_nametoindex(g->name),
	};
	int one = 1, sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	CHECK_OK(setsockopt(sock, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)));
	CHECK_OK(bind(sock, (struct sockaddr *)&address, sizeof(address)));
	return sock;
}

#define TSO (FEATURE(CSUM) | FEATURE(HOST_TSO4) | FEATURE(GUEST_CSUM) | FEATURE(GUEST_TSO4))

TEST(segments_are_made_by_who_receives)
{
	struct virtio_net_hdr_v1 header, *got = (void *)frame;
	static char whole[sizeof(struct virtio_net_hdr) + 60000];
	const uint32_t len = 60000;
	struct part part = { OUT, (uint32_t)HEADER_LEN + len, 0 };
	struct vring_used_elem elem;
	struct net_guest g;
	int sock;

	net_guest_init(&g, TSO | FEATURE(MRG_RXBUF));
	sock = header_socket(&g);
	fill_tcp(g.ram + OUT + HEADER_LEN, len, &header);
	memcpy(g.ram + OUT, &header, HEADER_LEN);
	net_guest_send(&g, &part, 1, 0);
	CHECK_EQ(recv(sock, frame, sizeof(frame), 0), sizeof(struct virtio_net_hdr) + len);
	CHECK_EQ(got->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	CHECK_EQ(got->gso_size, 1448);
	CHECK_EQ(got->csum_start, header.csum_start);
	CHECK_MEM(frame + sizeof(struct virtio_net_hdr), g.ram + OUT + HEADER_LEN, len);
	/* And the other way. */
	memcpy(whole, &header, sizeof(struct virtio_net_hdr));
	memcpy(whole + sizeof(struct virtio_net_hdr), g.ram + OUT + HEADER_LEN, len);
	for (uint32_t i = 0; i < 16; i++)
		post_one(&g, IN + i * PAGE, PAGE);
	CHECK_EQ(send(sock, whole, sizeof(whole), 0), sizeof(whole));
	for (uint32_t i = 0; i < 15; i++)
		CHECK(virtqueue_wait(&g.receiveq, &elem, TEST_HANG_MS));
	got = (void *)(g.ram + IN);
	CHECK_EQ(got->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	CHECK_EQ(got->gso_size, 1448);
	CHECK_EQ(got->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	CHECK_EQ(got->num_buffers, 15);
	CHECK_MEM(g.ram + IN + HEADER_LEN, g.ram + OUT + HEADER_LEN, len);
}

TEST(a_guest_that_takes_no_segments_gets_none)
{
	static char whole[sizeof(struct virtio_net_hdr) + 10000];
	uint64_t offloads = FEATURE(GUEST_CSUM);
	struct virtio_net_hdr_v1 header, *got;
	struct vring_used_elem elem;
	struct net_guest g;
	uint32_t nr = 0;
	int sock;

	net_guest_init(&g, TSO);
	sock = header_socket(&g);
	CHECK_OK(ioctl(g.net, VAS_NET_SET_OFFLOADS, &offloads));
	fill_tcp(whole + sizeof(struct virtio_net_hdr), 10000, &header);
	memcpy(whole, &header, sizeof(struct virtio_net_hdr));
	for (uint32_t i = 0; i < 16; i++)
		post_one(&g, IN + i * PAGE, PAGE);
	CHECK_EQ(send(sock, whole, sizeof(whole), 0), sizeof(whole));
	while (nr < 10000 - HEADERS) {
		got = (void *)(g.ram + IN + g.receiveq.seen * PAGE);
		CHECK(virtqueue_wait(&g.receiveq, &elem, TEST_HANG_MS));
		CHECK_EQ(got->gso_type, 0);
		nr += elem.len - (uint32_t)HEADER_LEN - HEADERS;
	}
	CHECK_EQ(nr, 10000 - HEADERS);
}

static int host_sends_segments(struct net_guest *g)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GTSO };
	struct ifreq ifreq = { .ifr_data = (void *)&value };

	memcpy(ifreq.ifr_name, g->name, sizeof(g->name));
	CHECK_OK(ioctl(g->sock, SIOCETHTOOL, &ifreq));
	return !!value.data;
}

TEST(what_a_driver_has_turned_off_is_on_for_the_next_one)
{
	uint64_t offloads = 0, features = TSO | VERSION_1;
	struct net_guest g;

	net_guest_init(&g, TSO);
	CHECK(host_sends_segments(&g));
	CHECK_OK(ioctl(g.net, VAS_NET_SET_OFFLOADS, &offloads));
	CHECK(!host_sends_segments(&g));
	net_guest_stop(&g, 0);
	net_guest_stop(&g, 1);
	CHECK_OK(ioctl(g.net, VAS_NET_SET_FEATURES, &features));
	CHECK(host_sends_segments(&g));
}

/* ---- life ---------------------------------------------------------------------------------- */

TEST(a_network_queue_goes_on_where_it_was_stopped)
{
	struct vas_queue_stopped stopped;
	struct net_guest g;

	net_guest_init(&g, EVENT);
	for (uint16_t i = 1; i <= 50; i++) {
		net_guest_send_frame(&g, 100, i);
		host_gets(&g, 100, i);
		stopped = net_guest_stop(&g, 1);
		CHECK_EQ(stopped.base, i);
		CHECK_EQ(stopped.broken, 0);
		CHECK_OK(net_guest_start(&g, 1, i));
		post_one(&g, IN, 2048);
		host_sends(&g, 200, i);
		guest_gets(&g, IN, 200, i);
		stopped = net_guest_stop(&g, 0);
		CHECK_EQ(stopped.base, 2 * i - 1);
		/* What comes meanwhile waits. */
		host_sends(&g, 300, i);
		CHECK_OK(net_guest_start(&g, 0, 2 * i - 1));
		post_one(&g, IN, 2048);
		guest_gets(&g, IN, 300, i);
	}
}

#define NUMBER	   14	/* where a frame has it */
#define FEW	   30u	/* frames under way: fewer than buffers */
#define MANY	   500u /* more, and fewer than there is room for */
#define NR_FRAMES  4000u
#define NR_BETWEEN 40u /* frames, from one stop to the next */

static void send_numbered(struct net_guest *g, const uint32_t *nr_received)
{
	net_frame_fill(frame, 64, 0);
	for (uint32_t i = 0; i < NR_FRAMES; i++) {
		while (i - __atomic_load_n(nr_received, __ATOMIC_ACQUIRE) >
		       (i / MANY % 2 ? MANY : FEW))
			usleep(100);
		memcpy(frame + NUMBER, &i, sizeof(i));
		net_host_send(g, frame, 64);
	}
}

/* With event indexes: if the device has asked for it. */
static void post_next(struct net_guest *g, uint64_t gpa)
{
	struct virtqueue *q = &g->receiveq;
	const uint16_t *event = (void *)&q->used->ring[q->size];
	struct part part = { gpa, 256, 1 };

	virtqueue_add(q, &part, 1, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(event, __ATOMIC_RELAXED) == (uint16_t)(q->avail->idx - 1))
		virtqueue_kick(q);
}

static void get_numbered(struct net_guest *g, uint32_t number)
{
	uint64_t gpa = IN + number % SIZE * 256;
	struct vring_used_elem elem;
	uint32_t got;

	CHECK(virtqueue_wait(&g->receiveq, &elem, TEST_HANG_MS));
	CHECK_EQ(elem.len, HEADER_LEN + 64);
	memcpy(&got, g->ram + gpa + HEADER_LEN + NUMBER, sizeof(got));
	CHECK_EQ(got, number);
	post_next(g, gpa);
}

static void change_hands(struct net_guest *g)
{
	struct vas_queue_stopped stopped = net_guest_stop(g, 0);

	CHECK_EQ(stopped.broken, 0);
	CHECK_EQ(stopped.base, __atomic_load_n(&g->receiveq.used->idx, __ATOMIC_ACQUIRE));
	CHECK_OK(net_guest_start(g, 0, stopped.base));
}

/* Those that are delivered at once, and those that wait, by one sender or by two threads. */
TEST(frames_keep_their_order_while_a_receiveq_changes_hands)
{
	uint32_t *nr_received =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct net_guest g;
	pid_t sender;
	int status;

	CHECK(nr_received != MAP_FAILED);
	net_guest_init(&g, EVENT);
	for (uint32_t i = 0; i < SIZE; i++)
		post_one(&g, IN + i * 256, 256);
	sender = fork();
	if (!sender) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		send_numbered(&g, nr_received);
		_exit(0);
	}
	for (uint32_t i = 0; i < NR_FRAMES; i++) {
		if (i % NR_BETWEEN == NR_BETWEEN - 1)
			change_hands(&g);
		get_numbered(&g, i);
		__atomic_store_n(nr_received, i + 1, __ATOMIC_RELEASE);
	}
	CHECK_EQ(waitpid(sender, &status, 0), sender);
	CHECK_EQ(status, 0);
	CHECK_EQ(net_count(&g, "guest_queue_0_rx_packets"), NR_FRAMES);
	CHECK(nr_at_once(&g) > 0);
	CHECK(nr_at_once(&g) < NR_FRAMES);
}

TEST(memory_may_be_unplugged_and_frozen_under_frames)
{
	struct vas_ko_freeze freeze = { .timeout_ns = TEST_HANG_NS };
	struct vas_ko_range rings = { RECEIVEQ, TRANSMITQ + 4 * PAGE - RECEIVEQ };
	struct vas_ko_prepare prepare = { .ranges = (uintptr_t)&rings,
					  .nr = 1,
					  .timeout_ns = TEST_HANG_NS };
	int drive = open("/dev/vas", O_RDWR | O_CLOEXEC);
	struct vring_used_elem elem;
	struct vas_ko_attach attach;
	struct net_guest g;

	net_guest_init(&g, 0);
	attach = (struct vas_ko_attach){ .fd = vas_fd(g.vas) };
	CHECK_OK(ioctl(drive, VAS_KO_ATTACH, &attach));
	for (uint32_t i = 0; i < 20; i++) {
		CHECK_OK(ioctl(drive, VAS_KO_FREEZE, &freeze));
		memset(g.ram + IN, 0x55, 2048);
		post_one(&g, IN, 2048);
		host_sends(&g, 500, i);
		CHECK(!virtqueue_wait(&g.receiveq, &elem, 30));
		CHECK_EQ(g.ram[IN], 0x55);
		/* The rings may be taken from it meanwhile. */
		if (i % 2) {
			CHECK_OK(ioctl(drive, VAS_KO_PREPARE, &prepare));
			CHECK_OK(ioctl(drive, VAS_KO_COMMIT));
		}
		CHECK_OK(ioctl(drive, VAS_KO_THAW));
		guest_gets(&g, IN, 500, i);
		net_guest_send_frame(&g, 300, i);
		host_gets(&g, 300, i);
		device_remove(g.vas, device_add(g.vas, 8 * MIB, MIB));
	}
}

/* The driver's error, in each of some ways: the queue says so, and can be started anew. */
TEST(a_driver_can_break_its_own_queue_only)
{
	static const struct part bad[] = {
		{ OUT, HEADER_LEN - 1, 0 }, /* no header */
		{ 32 * MIB, 1000, 0 },	    /* no memory */
		{ OUT, 100, 1 },	    /* nothing to read */
	};
	struct part in[] = { { 32 * MIB, 2048, 1 }, { IN, HEADER_LEN - 1, 1 }, { IN, 100, 0 } };
	struct net_guest g;

	net_guest_init(&g, 0);
	for (int i = 0; i < 3; i++) {
		test_note("transmitq %d", i);
		virtqueue_add(&g.transmitq, &bad[i], 1, 0);
		virtqueue_kick(&g.transmitq);
		CHECK(virtqueue_is_broken(&g.transmitq, TEST_HANG_MS));
		CHECK_EQ(net_guest_stop(&g, 1).broken, 1);
		virtqueue_init(&g.transmitq, g.ram, TRANSMITQ, SIZE);
		CHECK_OK(net_guest_start(&g, 1, 0));
		net_guest_send_frame(&g, 100, 1);
		host_gets(&g, 100, 1);
		test_note("receiveq %d", i);
		post(&g, &in[i], 1);
		host_sends(&g, 100, 2);
		CHECK(virtqueue_is_broken(&g.receiveq, TEST_HANG_MS));
		CHECK_EQ(net_guest_stop(&g, 0).broken, 1);
		virtqueue_init(&g.receiveq, g.ram, RECEIVEQ, SIZE);
		CHECK_OK(net_guest_start(&g, 0, 0));
		post_one(&g, IN, 2048);
		guest_gets(&g, IN, 100, 2); /* it was not lost */
	}
}

#define MORE (16 * MIB)

TEST(buffers_in_another_file_are_reached_once_its_fd_is_there)
{
	struct part out = { MORE + PAGE, (uint32_t)HEADER_LEN + 5000, 0 };
	struct vring_used_elem elem;
	struct net_guest g;
	char *more;
	int fd;

	net_guest_init(&g, 0);
	fd = device_add_file(g.vas, MORE, MIB);
	more = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(more != MAP_FAILED);
	post_one(&g, MORE, 2048);
	host_sends(&g, 100, 1);
	CHECK(virtqueue_is_broken(&g.receiveq, TEST_HANG_MS));
	net_guest_stop(&g, 0);
	CHECK_EQ(ioctl(g.net, VAS_NET_OFFER, &g.sock), -1);
	CHECK_EQ(ioctl(g.net, VAS_NET_OFFER, &fd), 1);
	virtqueue_init(&g.receiveq, g.ram, RECEIVEQ, SIZE);
	CHECK_OK(net_guest_start(&g, 0, 0));
	post_one(&g, MORE, 2048);
	CHECK(virtqueue_wait(&g.receiveq, &elem, TEST_HANG_MS));
	net_frame_fill(expected, 100, 1);
	CHECK_MEM(more + HEADER_LEN, expected, 100);
	net_frame_fill(more + PAGE + HEADER_LEN, 5000, 2);
	net_guest_send(&g, &out, 1, 0);
	host_gets(&g, 5000, 2);
}

TEST(devices_that_cannot_be_are_refused)
{
	struct vas_net_open good = { .features = VERSION_1, .nr_pairs = 2 }, bad;
	uint64_t features;
	struct net_guest g;
	char path[40];

	net_guest_init(&g, 0);
	CHECK_EQ(net_guest_open(&g, good), -EBUSY);
	close(g.net);
	g.net = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	CHECK_EQ(net_guest_start(&g, 0, 0), -ENXIO);
	CHECK_OK(ioctl(g.net, VAS_NET_GET_FEATURES, &features));
	CHECK(features & VERSION_1);
	for (int way = 0; way < 8; way++) {
		bad = good;
		switch (way) {
		case 0:
			bad.features = 0;
			break;
		case 1:
			bad.features |= 1ull << 63;
			break;
		case 2:
			bad.nr_pairs = 0;
			break;
		case 3:
			bad.nr_pairs = VAS_NET_MAX_PAIRS + 1;
			break;
		case 4:
			bad.mtu = 67;
			break;
		case 5:
			bad.mac[0] = 1;
			break;
		case 6:
			bad.pad = 1;
			break;
		case 7:
			memset(bad.name, 'a', sizeof(bad.name));
			break;
		}
		test_note("way %d", way);
		CHECK_EQ(net_guest_open(&g, bad), -EINVAL);
	}
	bad = good;
	bad.vas_fd = g.sock;
	CHECK(net_guest_open(&g, bad) < 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", vas_fd(g.vas));
	bad.vas_fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(bad.vas_fd >= 0);
	CHECK_EQ(net_guest_open(&g, bad), -EACCES);
	CHECK_OK(net_guest_open(&g, good));
}

/* One with two pairs. */
TEST(a_device_has_the_pairs_that_it_was_opened_with)
{
	struct vas_net_open good = { .features = VERSION_1, .nr_pairs = 2, .name = "vas-a" };
	struct net_guest g;
	uint32_t nr = 3;

	net_guest_init(&g, 0);
	close(g.net);
	g.net = open("/dev/vas_net", O_RDWR | O_CLOEXEC);
	CHECK_OK(net_guest_open(&g, good));
	CHECK_STR(g.name, "vas-a");
	CHECK_EQ(net_guest_start(&g, 4, 0), -EINVAL);
	CHECK_EQ(net_guest_start(&g, 2 * VAS_NET_MAX_PAIRS, 0), -EINVAL);
	CHECK_EQ(ioctl(g.net, VAS_NET_SET_PAIRS, &nr), -1);
	nr = 2;
	CHECK_OK(ioctl(g.net, VAS_NET_SET_PAIRS, &nr));
	CHECK_OK(net_guest_start(&g, 2, 0));
	CHECK_OK(net_guest_start(&g, 3, 0));
	g.net = open("/dev/vas_net", O_RDWR | O_CLOEXEC); /* the other one is there */
	CHECK_EQ(net_guest_open(&g, good), -EEXIST);
}
