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
#include <linux/vm_sockets.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>

#include "console.h"
#include "ethernet.h"

#define ECHO_SERVER "10.0.2.100"
#define SIZE	    (512u * 1024)
#define AHEAD	    (32u * 1024) /* bytes that were sent and have not come back */

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
