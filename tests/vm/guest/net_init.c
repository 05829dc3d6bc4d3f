// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a guest that talks over its network, eth0, and checks what it hears all the time.
 *
 *	net: 1700 checked	blocks of a stream so far, ten lines a second
 *	net: 2 queues		that it sends with
 *	net: behind an IOMMU, TYPE
 *	net: pinged		10.0.0.1 has answered
 *	net: BROKEN ...		an error, or other bytes than were sent
 *
 * It is 10.0.0.2. Each of WORKERS streams goes to port 4711 of 10.0.0.1, which sends back what it
 * gets: streams.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "iommu.h"

#define WORD "net"
#include "streams.h"

enum { WORKERS = 4, PERIOD_NS = 100 * 1000 * 1000, PORT = 4711 };

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, text, &in.sin_addr);
	return in;
}

static void set_address(int sock, unsigned long request, const char *text)
{
	struct sockaddr_in in = address(text, 0);
	struct ifreq ifr = { .ifr_name = "eth0" };

	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	if (ioctl(sock, request, &ifr))
		broken(text, request);
}

static void set_up(void)
{
	int sock = socket(AF_INET, SOCK_DGRAM, 0), nr = 0;
	struct ifreq ifr = { .ifr_name = "eth0", .ifr_flags = IFF_UP };
	char path[64];

	set_address(sock, SIOCSIFADDR, "10.0.0.2");
	set_address(sock, SIOCSIFNETMASK, "255.255.255.0");
	if (ioctl(sock, SIOCSIFFLAGS, &ifr))
		broken("up", 0);
	close(sock);
	do
		snprintf(path, sizeof(path), "/sys/class/net/eth0/queues/tx-%d", nr);
	while (!access(path, F_OK) && ++nr);
	printf("net: %d queues\n", nr);
	tell_of_iommu("net", "/sys/class/net/eth0");
}

static uint16_t checksum(const uint16_t *words, size_t nr)
{
	uint32_t sum = 0;

	while (nr--)
		sum += *words++;
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* Until there is an answer. */
static void ping(void)
{
	struct sockaddr_in peer = address("10.0.0.1", 0);
	struct timeval second = { .tv_sec = 1 };
	struct icmphdr echo = { .type = ICMP_ECHO, .un.echo = { htons(1), htons(1) } };
	int sock = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	uint8_t answer[128];
	ssize_t nr;

	echo.checksum = checksum((uint16_t *)&echo, sizeof(echo) / 2);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	do {
		sendto(sock, &echo, sizeof(echo), 0, (struct sockaddr *)&peer, sizeof(peer));
		nr = recv(sock, answer, sizeof(answer), 0);
	} while (nr < 28 || answer[20] != ICMP_ECHOREPLY);
	close(sock);
	printf("net: pinged\n");
}

static void work(int index)
{
	struct sockaddr_in peer = address("10.0.0.1", PORT);
	int sock = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(sock, (struct sockaddr *)&peer, sizeof(peer)))
		broken("connect", (uint64_t)index);
	stream_both_ways(sock, index);
}

int main(void)
{
	const struct timespec period = { .tv_nsec = PERIOD_NS };

	take_console();
	load_listed_modules("net");
	while (access("/sys/class/net/eth0", F_OK))
		nanosleep(&period, NULL);
	set_up();
	ping();
	stream_all(work, WORKERS);
}
