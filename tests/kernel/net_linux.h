/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the Linux guest of net_linux.c and the test around it agree on. */
#ifndef TESTS_KERNEL_NET_LINUX_H
#define TESTS_KERNEL_NET_LINUX_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NET_LINUX_HOST	    0x0a4d0001u /* 10.77.0.1 */
#define NET_LINUX_GUEST	    0x0a4d0002u
#define NET_LINUX_MASK	    0xffffff00u
#define NET_LINUX_PORT	    7777
#define NET_LINUX_BYTES	    (16ull << 20) /* each way, at once */
#define NET_LINUX_PIECE	    (64ull << 10)
#define NET_LINUX_STREAMS   4
#define NET_LINUX_DATAGRAMS 300
#define NET_LINUX_VERDICT   "guest: all bytes are as they should be"

/* The byte at `at` of a stream, which starts as its seed says. */
static inline uint8_t net_linux_byte(uint64_t at, uint64_t seed)
{
	return (uint8_t)(at * 0x9e3779b1u >> 13) ^ (uint8_t)(at >> 16) ^ (uint8_t)(seed * 31);
}

static inline int net_linux_send(int sock, uint64_t seed)
{
	static uint8_t buf[NET_LINUX_PIECE];

	for (uint64_t at = 0; at < NET_LINUX_BYTES; at += sizeof(buf)) {
		for (uint64_t i = 0; i < sizeof(buf); i++)
			buf[i] = net_linux_byte(at + i, seed);
		for (size_t done = 0; done < sizeof(buf);) {
			ssize_t nr = send(sock, buf + done, sizeof(buf) - done, MSG_NOSIGNAL);

			if (nr <= 0)
				return -1;
			done += (size_t)nr;
		}
	}
	return 0;
}

/* 0: all of them came, and then the end; else errno. */
static inline int net_linux_receive(int sock, uint64_t seed)
{
	static uint8_t buf[NET_LINUX_PIECE];
	uint64_t at = 0;
	ssize_t nr;

	while ((nr = recv(sock, buf, sizeof(buf), 0)) > 0)
		for (ssize_t i = 0; i < nr; i++)
			if (buf[i] != net_linux_byte(at++, seed)) {
				errno = EILSEQ;
				return -1;
			}
	if (nr || at == NET_LINUX_BYTES)
		return (int)nr;
	errno = EPIPE;
	return -1;
}

#endif
