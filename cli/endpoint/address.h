/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* unix:PATH, tcp:HOST:PORT (a name, an address, an IPv6 address in brackets) or tcp::PORT. */
#ifndef CLI_ADDRESS_H
#define CLI_ADDRESS_H

#include <sys/socket.h>

#define ADDRESS_MAX 16

struct address {
	struct sockaddr_storage storage;
	socklen_t size;
	int family;
};

/* All that a name stands for, the best first. */
struct addresses {
	struct address at[ADDRESS_MAX];
	int nr;
};

int address_is_meant(const char *text);

/* To connect to. An exit code. */
int address_take(const char *text, struct addresses *addresses);
/* To listen at: no host means all addresses of this one. */
int address_take_own(const char *text, struct addresses *addresses);

#endif
