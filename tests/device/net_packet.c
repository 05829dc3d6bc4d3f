// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A network device whose frames go by a packet socket on one end of a veth, in a network namespace
 * of the case's own; the test is at the other end, and is the guest's driver.
 */
#include <netinet/if_ether.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_config.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vas/vas.h>

#include "harness.h"
#include "tests/device/net_front.h"

#define SHORT	 10u	/* the kernel's header */
#define PROTOCOL 0x88b5 /* for experiments */
#define PAYLOAD	 5000u	/* of what is cut */
#define MSS	 1400u
#define ETHER	 14u
#define TCP_AT	 (ETHER + 20u)
#define DATA_AT	 (TCP_AT + 20u)

static const uint8_t mac[] = { 0x52, 0x54, 0, 1, 2, 3 };
static struct net_options options = {
	.kind = NET_PACKET,
	.name = "vas0",
	.nr_pairs = 1,
	.queue_size = FRONT_RING_SIZE,
	.mac = mac,
};
static int peer; /* a packet socket at the other end, with headers */
static uint8_t frame[SHORT + NET_MAX_FRAME];

/* ---- a network ---------------------------------------------------------------------------- */

static int run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int run(const char *format, ...)
{
	char command[256];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command); // NOLINT: `ip`, of words of the test's own
}

static int link_is_made(void)
{
	return !run("ip link add vas0 type veth peer name peer0") &&
	       !run("ip link set peer0 up && ip link set vas0 up");
}

static int open_end(const char *name, uint16_t protocol)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)if_nametoindex(name),
	};
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	CHECK_OK(fd);
	CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)));
	CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)));
	CHECK_OK(bind(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

/* The kernel drops what is sent before it has noticed that a link is up. */
static int passes(void *arg)
{
	const int *ends = arg;
	int i, nr = 0;

	memset(frame, 0, SHORT);
	net_front_fill(frame + SHORT, 60, 0);
	for (i = 0; i < 2; i++)
		send(ends[i], frame, SHORT + 60, 0);
	for (i = 0; i < 2; i++)
		nr += recv(ends[i], frame, sizeof(frame), MSG_PEEK | MSG_DONTWAIT) > 0;
	return nr == 2;
}

static void wait_for_link(void)
{
	int ends[] = { open_end("vas0", PROTOCOL), open_end("peer0", PROTOCOL) };

	test_wait(passes, ends, TEST_HANG_MS);
	close(ends[0]);
	close(ends[1]);
}

static void make_network(void)
{
	if (unshare(CLONE_NEWNET))
		test_skip("no network namespace: %s", strerror(errno));
	if (run("command -v ip >/dev/null"))
		test_skip("there is no 'ip'");
	/* No frames of the kernel's own. */
	CHECK_OK(run("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6"));
	if (!link_is_made())
		test_skip("the kernel has no veth");
	wait_for_link();
}

static void open_peer(void)
{
	peer = open_end("peer0", ETH_P_ALL);
}

/* ---- the device and its driver ------------------------------------------------------------ */

static void begin_without(uint64_t features)
{
	make_network();
	open_peer();
	net_front_begin(&options, features);
}

static void peer_gets(uint32_t len, uint8_t seed)
{
	uint8_t want[BUFFER];

	net_front_fill(want, len, seed);
	CHECK_EQ(recv(peer, frame, sizeof(frame), 0), SHORT + len);
	CHECK_MEM(frame + SHORT, want, len);
}

static void peer_sends(uint32_t len, uint8_t seed)
{
	memset(frame, 0, SHORT);
	net_front_fill(frame + SHORT, len, seed);
	CHECK_EQ(send(peer, frame, SHORT + len, 0), SHORT + len);
}

/* ---- frames ------------------------------------------------------------------------------- */

/* Of what the guest sends nothing comes back to it. */
TEST(frames_go_both_ways)
{
	begin_without(0);
	net_front_exchange(peer_gets, peer_sends);
	net_front_end();
}

/* One that the interface is too small for. */
TEST(what_the_interface_does_not_take_is_counted)
{
	begin_without(0);
	net_front_send_fill(1800, 1);
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.dropped), 1);
	net_front_send_fill(1514, 2);
	peer_gets(1514, 2);
	net_front_end();
}

/* The kernel has it beside the frame. */
TEST(a_tag_stays_in_its_frame)
{
	static const uint8_t tag[] = { 0x81, 0, 0x20, 7 };

	begin_without(0);
	memset(frame, 0, SHORT);
	net_front_fill(frame + SHORT, 104, 3);
	memcpy(frame + SHORT + 12, tag, sizeof(tag));
	CHECK_EQ(send(peer, frame, SHORT + 104, 0), SHORT + 104);
	net_front_answered(RX, 1);
	CHECK_EQ(front.rings[RX].used->ring[0].len, HEADER + 104);
	CHECK_MEM(net_front_frame(0), frame + SHORT, 104);
	net_front_end();
}

/* ---- sums and segments -------------------------------------------------------------------- */

static uint32_t sum_of(const uint8_t *bytes, uint32_t len, uint32_t sum)
{
	for (uint32_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	if (len & 1)
		sum += (uint32_t)bytes[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Of addresses, protocol and length. */
static uint32_t pseudo_sum(const uint8_t *bytes, uint32_t tcp_len)
{
	return sum_of(bytes + ETHER + 12, 8, 6 + tcp_len);
}

/* A segment of TCP over IPv4, whose sum is left to others. */
static void fill_segment(uint8_t *bytes, uint32_t payload)
{
	uint32_t len = 40 + payload, sum = pseudo_sum(bytes, 20 + payload);

	net_front_fill(bytes, ETHER + len, 0);
	memcpy(bytes + 12, "\x08\x00", 2);
	memset(bytes + ETHER, 0, 40);
	bytes[ETHER] = 0x45;
	bytes[ETHER + 2] = (uint8_t)(len >> 8);
	bytes[ETHER + 3] = (uint8_t)len;
	bytes[ETHER + 8] = 64;
	bytes[ETHER + 9] = 6;
	memcpy(bytes + ETHER + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
	sum = ~sum_of(bytes + ETHER, 20, 0);
	bytes[ETHER + 10] = (uint8_t)(sum >> 8);
	bytes[ETHER + 11] = (uint8_t)sum;
	memcpy(bytes + TCP_AT, "\x12\x34\x56\x78\xff\xff\xfe\x00", 8);
	bytes[TCP_AT + 12] = 0x50;
	bytes[TCP_AT + 13] = 0x19; /* FIN, PSH, ACK */
	sum = pseudo_sum(bytes, 20 + payload);
	bytes[TCP_AT + 16] = (uint8_t)(sum >> 8);
	bytes[TCP_AT + 17] = (uint8_t)sum;
}

static const struct virtio_net_hdr_v1 segment_header = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	.hdr_len = DATA_AT,
	.gso_size = MSS,
	.csum_start = TCP_AT,
	.csum_offset = 16,
};

static void peer_sends_segment(uint32_t payload, bool is_cut)
{
	struct virtio_net_hdr_v1 header = segment_header;

	if (!is_cut)
		header.gso_type = header.gso_size = header.hdr_len = 0;
	memcpy(frame, &header, SHORT);
	fill_segment(frame + SHORT, payload);
	CHECK_EQ(send(peer, frame, SHORT + DATA_AT + payload, 0), SHORT + DATA_AT + payload);
}

static void sums_are_right(const uint8_t *bytes, uint32_t len)
{
	CHECK_EQ(sum_of(bytes + ETHER, 20, 0), 0xffff);
	CHECK_EQ(sum_of(bytes + TCP_AT, len - TCP_AT, pseudo_sum(bytes, len - TCP_AT)), 0xffff);
}

/* Both ways they go whole, to who takes them so. */
TEST(a_large_segment_stays_whole)
{
	begin_without(0);
	memcpy(front.ram + SENT, &segment_header, HEADER);
	fill_segment(front.ram + SENT + HEADER, PAYLOAD);
	net_front_send(DATA_AT + PAYLOAD);
	CHECK_EQ(recv(peer, frame, sizeof(frame), 0), SHORT + DATA_AT + PAYLOAD);
	CHECK_EQ(((struct virtio_net_hdr *)frame)->gso_size, MSS);
	CHECK_MEM(frame + SHORT, front.ram + SENT + HEADER, DATA_AT + PAYLOAD);

	peer_sends_segment(PAYLOAD, true);
	net_front_answered(RX, 3); /* buffers */
	CHECK_EQ(net_front_header(0)->num_buffers, 3);
	CHECK_EQ(net_front_header(0)->gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	CHECK_EQ(net_front_header(0)->gso_size, MSS);
	CHECK_MEM(net_front_frame(0), frame + SHORT, BUFFER - HEADER);
	net_front_end();
}

TEST(a_guest_that_cuts_nothing_gets_frames)
{
	uint64_t cuts = 1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6 |
			1ull << VIRTIO_NET_F_GUEST_ECN;
	uint32_t left = PAYLOAD;

	begin_without(cuts | 1ull << VIRTIO_NET_F_GUEST_CSUM);
	peer_sends_segment(PAYLOAD, true);
	net_front_answered(RX, 4);
	for (uint16_t i = 0; i < 4; i++) {
		uint32_t part = left < MSS ? left : MSS, at = PAYLOAD - left;
		const uint8_t *bytes = net_front_frame(i);

		CHECK_EQ(net_front_header(i)->gso_type, 0);
		CHECK_EQ(net_front_header(i)->flags, 0);
		CHECK_EQ(front.rings[RX].used->ring[i].len, HEADER + DATA_AT + part);
		sums_are_right(bytes, DATA_AT + part);
		CHECK_MEM(bytes + DATA_AT, frame + SHORT + DATA_AT + at, part);
		/* FIN and PSH are the last one's. */
		CHECK_EQ(bytes[TCP_AT + 13], left == part ? 0x19 : 0x10);
		CHECK_EQ((uint32_t)bytes[TCP_AT + 4] << 24 | bytes[TCP_AT + 5] << 16 |
				 bytes[TCP_AT + 6] << 8 | bytes[TCP_AT + 7],
			 0xfffffe00u + at);
		left -= part;
	}
	net_front_end();
}

TEST(a_guest_that_sums_nothing_gets_sums)
{
	begin_without(1ull << VIRTIO_NET_F_GUEST_CSUM);
	peer_sends_segment(101, false);
	net_front_answered(RX, 1);
	CHECK_EQ(net_front_header(0)->flags, 0);
	sums_are_right(net_front_frame(0), DATA_AT + 101);
	net_front_end();
}

TEST(a_guest_that_sums_gets_none)
{
	begin_without(0);
	peer_sends_segment(101, false);
	net_front_answered(RX, 1);
	CHECK_EQ(net_front_header(0)->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	CHECK_EQ(net_front_header(0)->csum_start, TCP_AT);
	CHECK_MEM(net_front_frame(0), frame + SHORT, DATA_AT + 101);
	net_front_end();
}

/* ---- an interface that is not there ------------------------------------------------------- */

static int comes_through(void *arg)
{
	int seed = *(int *)arg;

	net_front_send_fill(60, (uint8_t)seed);
	return recv(peer, frame, sizeof(frame), MSG_DONTWAIT) > 0;
}

static int is_reached(void *arg)
{
	peer_sends(100, (uint8_t) * (int *)arg);
	return __atomic_load_n(&front.rings[RX].used->idx, __ATOMIC_ACQUIRE);
}

/* As soon as the kernel passes frames on again. */
static void is_used_again(void)
{
	int seed = 9;

	test_wait(comes_through, &seed, TEST_HANG_MS);
	test_wait(is_reached, &seed, TEST_HANG_MS);
	net_front_gets(0, 100, 9);
}

/* What is sent meanwhile is lost, and counted; the new one of that name is used at once. */
TEST(an_interface_that_goes_and_comes_is_used_again)
{
	begin_without(0);
	net_front_send_fill(60, 1);
	peer_gets(60, 1);
	CHECK_OK(run("ip link del vas0"));
	close(peer);
	net_front_send_fill(60, 2);
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.dropped), 1);
	CHECK(link_is_made());
	open_peer();
	is_used_again();
	net_front_end();
}

TEST(an_interface_that_was_down_is_used_again)
{
	begin_without(0);
	CHECK_OK(run("ip link set vas0 down"));
	net_front_send_fill(60, 1);
	CHECK_EQ(net_front_counted(&net.pairs[0].sent.dropped), 1);
	CHECK_OK(run("ip link set vas0 up"));
	is_used_again();
	net_front_end();
}

TEST(what_is_no_interface_is_refused)
{
	struct net_options two = options;
	int nr_fds;

	make_network();
	nr_fds = test_count_fds();
	net_front_refused(&options, "nowhere0", -ENODEV, "there is no interface 'nowhere0'");
	net_front_refused(&options, "", -ENODEV, "there is no interface ''");
	net_front_refused(&options, "a-name-that-is-too-long", -EINVAL,
			  "is too long for an interface");
	net_front_refused(&options, "lo", -EINVAL, "'lo' is no Ethernet");
	two.nr_pairs = 2;
	CHECK_EQ(net_open(&net, &two), -EINVAL);
	CHECK_HAS(vas_error(), "one pair of queues, and not 2");
	CHECK_EQ(test_count_fds(), nr_fds);
}

TEST(who_may_not_is_told_so)
{
	make_network();
	CHECK_OK(setresuid(65534, 65534, 65534));
	net_front_refused(&options, "vas0", -EPERM, "it needs CAP_NET_RAW");
}
