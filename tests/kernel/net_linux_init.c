// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * PID 1 of a Linux guest that has a virtio network: exchanges datagrams and streams with the host, and
 * says on its console what came of it.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

#include "linux_init.h"
#include "net_linux.h"

static void nap(void)
{
	struct timespec time = { .tv_nsec = 10000000 };

	nanosleep(&time, NULL);
}

static void set(int sock, unsigned long request, struct ifreq *ifreq, const char *what)
{
	if (ioctl(sock, request, ifreq))
		guest_fail(what);
}

static void set_address(struct ifreq *ifreq, uint32_t address)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };

	memcpy(&ifreq->ifr_addr, &in, sizeof(in));
}

static void set_up(void)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifreq = { .ifr_name = "eth0" };

	for (int tries = 0; !if_nametoindex("eth0"); tries++) {
		if (tries == 6000)
			guest_fail("no eth0");
		nap();
	}
	set_address(&ifreq, NET_LINUX_GUEST);
	set(sock, SIOCSIFADDR, &ifreq, "address");
	set_address(&ifreq, NET_LINUX_MASK);
	set(sock, SIOCSIFNETMASK, &ifreq, "netmask");
	ifreq.ifr_flags = IFF_UP;
	set(sock, SIOCSIFFLAGS, &ifreq, "up");
	close(sock);
}

static int connect_host(int type)
{
	struct sockaddr_in host = {
		.sin_family = AF_INET,
		.sin_port = htons(NET_LINUX_PORT),
		.sin_addr.s_addr = htonl(NET_LINUX_HOST),
	};
	int sock = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (sock < 0 || connect(sock, (struct sockaddr *)&host, sizeof(host)))
		guest_fail("connect");
	return sock;
}

/* Datagrams may be lost, but not all of ten. */
static void echo(int sock, uint32_t len, uint64_t seed)
{
	static uint8_t buf[65536], got[65536];
	struct timeval second = { .tv_sec = 1 };

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	for (uint32_t i = 0; i < len; i++)
		buf[i] = net_linux_byte(i, seed);
	for (int tries = 0; tries < 10; tries++) {
		if (send(sock, buf, len, 0) != (ssize_t)len)
			guest_fail("send a datagram");
		if (recv(sock, got, sizeof(got), 0) == (ssize_t)len && !memcmp(buf, got, len))
			return;
	}
	guest_fail("no datagram came back");
}

static void datagrams(void)
{
	int sock = connect_host(SOCK_DGRAM);

	for (uint32_t i = 0; i < NET_LINUX_DATAGRAMS; i++)
		echo(sock, 1 + i * 31, i);
	close(sock);
}

static int stream(void)
{
	int sock = connect_host(SOCK_STREAM);
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(net_linux_send(sock, 1) || shutdown(sock, SHUT_WR));
	if (net_linux_receive(sock, 2))
		guest_fail("receive");
	if (waitpid(pid, &status, 0) != pid || status)
		guest_fail("send");
	return 0;
}

static void streams(void)
{
	int status;

	for (int i = 0; i < NET_LINUX_STREAMS; i++)
		if (!fork())
			_exit(stream());
	while (wait(&status) > 0)
		if (status)
			guest_fail("a process died");
}

int main(void)
{
	guest_begin();
	set_up();
	guest_tell("/sys/class/net/eth0/device/features");
	datagrams();
	puts("guest: datagrams are as they should be");
	streams();
	puts(NET_LINUX_VERDICT);
	guest_leave();
}
