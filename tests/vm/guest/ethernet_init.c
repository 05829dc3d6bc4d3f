// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a guest that has an Ethernet device, eth0, in a network as QEMU's users' is: it pings the
 * gateway, and sends to an echo server what it then receives and compares. With vas_vsock=1 on the
 * kernel's command line it does the same by vsock. With vas_console=1 it then sends each byte that
 * comes on hvc0 back, plus one, until that is 0.
 *
 *	ethernet: 5 pings answered
 *	ethernet: 512 KiB came back
 *	vsock: 512 KiB came back
 *	console: raw			and what is said from now on comes as it is
 *	console: 3000 bytes sent back
 *	ethernet: BROKEN ...		an error, or other bytes than were sent
 */
#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>

#include "console.h"

#define ADDRESS	    "10.0.2.15"
#define GATEWAY	    "10.0.2.2"
#define ECHO_SERVER "10.0.2.100"
#define PINGS	    5
#define SIZE	    (512u * 1024)
#define AHEAD	    (32u * 1024) /* bytes that were sent and have not come back */

static void broken(const char *what)
{
	printf("ethernet: BROKEN: %s: %s\n", what, strerror(errno));
	reboot(RB_AUTOBOOT);
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, text, &address.sin_addr);
	return address;
}

static void set_address(int sock, unsigned long request, const char *text)
{
	struct ifreq ifr = { .ifr_name = "eth0" };
	struct sockaddr_in in = address(text, 0);

	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	if (ioctl(sock, request, &ifr))
		broken(text);
}

static void bring_up(void)
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

static uint16_t checksum(const void *bytes, size_t size)
{
	const uint16_t *word = bytes;
	uint32_t sum = 0;

	for (; size; size -= 2)
		sum += *word++;
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t) ~(sum + (sum >> 16));
}

/* True: the answer came within ten seconds. */
static int ping_once(int sock, uint16_t sequence)
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

static void ping(void)
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

static uint8_t value(uint32_t at)
{
	return (uint8_t)(at * 2654435761u >> 24);
}

static void send_some(int sock, uint32_t at)
{
	uint8_t bytes[4096];

	for (uint32_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = value(at + i);
	if (write(sock, bytes, sizeof(bytes)) != sizeof(bytes))
		broken("send");
}

static uint32_t receive_some(int sock, uint32_t at)
{
	uint8_t bytes[4096];
	ssize_t nr = read(sock, bytes, sizeof(bytes));

	if (nr <= 0)
		broken("receive");
	for (uint32_t i = 0; i < (uint32_t)nr; i++)
		if (bytes[i] != value(at + i))
			broken("contents");
	return (uint32_t)nr;
}

static void transfer(const char *name, const void *to, socklen_t len)
{
	int sock = socket(((const struct sockaddr *)to)->sa_family, SOCK_STREAM, 0);
	uint32_t sent = 0, received = 0;

	if (sock < 0 || connect(sock, to, len))
		broken(name);
	while (received < SIZE)
		if (sent < SIZE && sent - received < AHEAD)
			send_some(sock, sent), sent += 4096;
		else
			received += receive_some(sock, received);
	printf("%s: %u KiB came back\n", name, received >> 10);
	close(sock);
}

static int open_console(void)
{
	int fd = open("/dev/hvc0", O_RDWR | O_NOCTTY);
	struct termios raw;

	if (fd < 0 || tcgetattr(fd, &raw))
		broken("hvc0");
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw))
		broken("hvc0");
	return fd;
}

static void serve_console(void)
{
	int fd = open_console();
	unsigned long nr;
	uint8_t byte;

	printf("console: raw\n");
	for (nr = 0; read(fd, &byte, 1) == 1 && ++byte; nr++)
		if (write(fd, &byte, 1) != 1)
			broken("hvc0");
	printf("console: %lu bytes sent back\n", nr);
}

int main(void)
{
	const struct sockaddr_in echo = address(ECHO_SERVER, 7);
	const struct sockaddr_vm host = { .svm_family = AF_VSOCK,
					  .svm_cid = VMADDR_CID_HOST,
					  .svm_port = 7 };

	take_console();
	load_listed_modules("ethernet");
	bring_up();
	ping();
	transfer("ethernet", &echo, sizeof(echo));
	if (getenv("vas_vsock"))
		transfer("vsock", &host, sizeof(host));
	if (getenv("vas_console"))
		serve_console();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
