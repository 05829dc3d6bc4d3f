/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The host's side of a guest that speaks with it (tests/vm/guest/ethernet_init.c). */
#ifndef TESTS_EXAMPLES_GUEST_NETWORK_H
#define TESTS_EXAMPLES_GUEST_NETWORK_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/harness.h"

static inline void set_address(int sock, const char *name, const char *text)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET };

	strcpy(ifr.ifr_name, name);
	CHECK_EQ(inet_pton(AF_INET, text, &in.sin_addr), 1);
	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	CHECK_OK(ioctl(sock, SIOCSIFADDR, &ifr));
	CHECK_EQ(inet_pton(AF_INET, "255.255.255.0", &in.sin_addr), 1);
	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	CHECK_OK(ioctl(sock, SIOCSIFNETMASK, &ifr));
	ifr.ifr_flags = IFF_UP;
	CHECK_OK(ioctl(sock, SIOCSIFFLAGS, &ifr));
}

static inline void add_tap(const char *name)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (tap < 0)
		test_skip("there is no tap");
	strcpy(ifr.ifr_name, name);
	CHECK_OK(ioctl(tap, TUNSETIFF, &ifr));
	CHECK_OK(ioctl(tap, TUNSETPERSIST, 1));
	close(tap);
}

/* A tap that stays, with the gateway's address, and that of the echo server. */
static inline void make_tap(void)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	if (access("/dev/vhost-net", R_OK | W_OK))
		test_skip("there is no vhost-net");
	add_tap("tap0");
	set_address(sock, "tap0", "10.0.2.2");
	set_address(sock, "tap0:1", "10.0.2.100");
	close(sock);
}

static inline void set_up(const char *name, int is_up)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq ifr = { .ifr_flags = is_up ? IFF_UP : 0 };

	strcpy(ifr.ifr_name, name);
	CHECK_OK(ioctl(sock, SIOCSIFFLAGS, &ifr));
	close(sock);
}

/* One of several with the same addresses, of which one is up: guests do not tell them apart. */
static inline void make_switched_tap(int nr, const char *address)
{
	static const char mac[] = { 0x52, 0x54, 0, 0, 0, 1 };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq ifr = { .ifr_hwaddr = { .sa_family = ARPHRD_ETHER } };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "tap%d", nr);
	add_tap(ifr.ifr_name);
	memcpy(ifr.ifr_hwaddr.sa_data, mac, sizeof(mac));
	CHECK_OK(ioctl(sock, SIOCSIFHWADDR, &ifr));
	set_address(sock, ifr.ifr_name, address);
	close(sock);
	set_up(ifr.ifr_name, 0);
}

static inline void *echo(void *arg)
{
	int sock = accept(*(int *)arg, NULL, NULL);
	char bytes[4096];
	ssize_t nr;

	while ((nr = read(sock, bytes, sizeof(bytes))) > 0)
		if (write(sock, bytes, (size_t)nr) != nr)
			break;
	close(sock);
	return NULL;
}

static inline void serve(const void *address, socklen_t len, int *sock)
{
	pthread_t thread;

	*sock = socket(((const struct sockaddr *)address)->sa_family, SOCK_STREAM | SOCK_CLOEXEC,
		       0);
	CHECK_OK(bind(*sock, address, len));
	CHECK_OK(listen(*sock, 1));
	CHECK_OK(pthread_create(&thread, NULL, echo, sock));
}

/* On any address, for so many streams. */
static inline void serve_streams(uint16_t port, int nr)
{
	const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	static int sock;
	pthread_t thread;

	sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_OK(bind(sock, (const struct sockaddr *)&any, sizeof(any)));
	CHECK_OK(listen(sock, nr));
	while (nr--)
		CHECK_OK(pthread_create(&thread, NULL, echo, &sock));
}

static const struct sockaddr_in tcp_echo = { .sin_family = AF_INET,
					     .sin_port = __builtin_bswap16(7) };

#endif
