// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tests/consumer/vhost/tap.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAME	 1000
#define PROTOCOL 0x88b5 /* for experiments */

static int tap_open(struct ifreq *request)
{
	int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK), header = TAP_HEADER;

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

void net_open(struct net *net)
{
	struct ifreq request = { .ifr_name = "tap%d" };

	traffic_open(&net->t, VAS_VHOST_NET);
	net->tap = tap_open(&request);
	net->socket = socket_open(&request);
	traffic_start(&net->t, TAP_FEATURES, net->tap, NULL);
}

void net_close(struct net *net)
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

void net_post(struct net *net, uint64_t gpa, char *at, uint8_t seed)
{
	memset(at, 0, TAP_HEADER);
	make_frame((uint8_t *)at + TAP_HEADER, seed);
	traffic_offer(&net->t, TX, gpa, TAP_HEADER + FRAME);
}

/* The socket sees what it sends, too. */
void net_check_sent(const struct net *net, uint8_t seed)
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

void net_inject(const struct net *net, uint8_t seed)
{
	uint8_t frame[FRAME];

	make_frame(frame, seed);
	CHECK_EQ(send(net->socket, frame, FRAME, 0), FRAME);
}

void net_check_received(struct net *net, const char *at, uint8_t seed)
{
	uint8_t want[FRAME];

	CHECK_EQ(traffic_wait(&net->t, RX), TAP_HEADER + FRAME);
	make_frame(want, seed);
	CHECK_MEM(at + TAP_HEADER, want, FRAME);
}

void net_exchange(struct net *net, uint64_t gpa, char *at, uint8_t seed)
{
	net_post(net, gpa, at, seed);
	net_check_sent(net, seed);
	CHECK_EQ(traffic_wait(&net->t, TX), 0);
	memset(at, 0, PAGE);
	traffic_offer(&net->t, RX, gpa, PAGE);
	net_inject(net, seed);
	net_check_received(net, at, seed);
}
