/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest's Ethernet device, eth0, in a network as QEMU's users' is: it is brought up, and the
 * gateway pinged. What fails is told, "ethernet: BROKEN ...", and ends the guest.
 */
#ifndef TESTS_VM_GUEST_ETHERNET_H
#define TESTS_VM_GUEST_ETHERNET_H

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ADDRESS "10.0.2.15"
#define GATEWAY "10.0.2.2"
#define PINGS	5

static inline void broken(const char *what)
{
	printf("ethernet: BROKEN: %s: %s\n", what, strerror(errno));
	reboot(RB_AUTOBOOT);
}

static inline struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, text, &address.sin_addr);
	return address;
}

static inline void set_address(int sock, unsigned long request, const char *text)
{
	struct ifreq ifr = { .ifr_name = "eth0" };
	struct sockaddr_in in = address(text, 0);

	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	if (ioctl(sock, request, &ifr))
		broken(text);
}

static inline void bring_up(void)
{
	const struct timespec period = { .tv_nsec = 50 * 1000 * 1000 };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq ifr = { .ifr_name = "eth0" };

	while (ioctl(sock, SIOCGIFFLAGS, &ifr))
		nanosleep(&period, NULL);
	set_address(sock, SIOCSIFADDR, ADDRESS);
	set_address(sock, SIOCSIFNETMASK, "255.255.255.0");
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(sock, SIOCSIFFLAGS, &ifr))
		broken("up");
	do
		nanosleep(&period, NULL);
	while (ioctl(sock, SIOCGIFFLAGS, &ifr) || !(ifr.ifr_flags & IFF_RUNNING));
	close(sock);
}

static inline uint16_t checksum(const void *bytes, size_t size)
{
	const uint16_t *word = bytes;
	uint32_t sum = 0;

	for (; size; size -= 2)
		sum += *word++;
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* True: the answer came within ten seconds. */
static inline int ping_once(int sock, uint16_t sequence)
{
	struct sockaddr_in to = address(GATEWAY, 0);
	struct icmphdr request = { .type = ICMP_ECHO, .un.echo.sequence = htons(sequence) };
	struct pollfd fd = { .fd = sock, .events = POLLIN };
	uint8_t answer[256];
	const struct icmphdr *icmp = (const void *)(answer + sizeof(struct iphdr));

	request.checksum = checksum(&request, sizeof(request));
	sendto(sock, &request, sizeof(request), 0, (struct sockaddr *)&to, sizeof(to));
	while (poll(&fd, 1, 10000) == 1)
		if (recv(sock, answer, sizeof(answer), 0) > 0 && icmp->type == ICMP_ECHOREPLY &&
		    ntohs(icmp->un.echo.sequence) == sequence)
			return 1;
	return 0;
}

static inline void ping(void)
{
	int sock = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	uint16_t sequence = 0, nr = 0;

	if (sock < 0)
		broken("a raw socket");
	while (nr < PINGS && sequence < 10 * PINGS)
		nr += ping_once(sock, sequence++);
	if (nr < PINGS)
		broken("nobody answers");
	printf("ethernet: %u pings answered\n", nr);
	close(sock);
}

#endif
