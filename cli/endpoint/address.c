// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "cli/endpoint/address.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "cli/ui/verb.h"

static int unix_address(const char *path, struct addresses *addresses)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&addresses->at[0].storage;

	if (!*path || strlen(path) >= sizeof(un->sun_path))
		return fail_usage("'%s' is no path for a socket: it has 1 to %zu bytes", path,
				  sizeof(un->sun_path) - 1);
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	addresses->at[0].size = sizeof(*un);
	addresses->at[0].family = AF_UNIX;
	addresses->nr = 1;
	return EXIT_OK;
}

/* HOST:PORT or [HOST]:PORT; the port, or NULL. */
static const char *split(const char *text, char *host, size_t room)
{
	const char *colon = strrchr(text, ':'), *end = colon;

	if (colon && *text == '[') {
		text++;
		end = colon - 1;
		if (end < text || *end != ']')
			return NULL;
	} else if (colon && memchr(text, ':', (size_t)(colon - text))) {
		return NULL;
	}
	if (!colon || !colon[1] || (size_t)(end - text) >= room)
		return NULL;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = '\0';
	return colon + 1;
}

/* getaddrinfo() takes 99999 for 34463. */
static int is_no_port(const char *port)
{
	return !port[strspn(port, "0123456789")] && (strlen(port) > 5 || atoi(port) > 65535);
}

static int tcp_addresses(const char *text, int flags, struct addresses *addresses)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *list, *info;
	char host[256];
	const char *port = split(text, host, sizeof(host));
	int err;

	if (!port)
		return fail_usage("'tcp:%s' is no address: write tcp:HOST:PORT, tcp:[IPV6]:PORT or "
				  "tcp::PORT",
				  text);
	if (is_no_port(port))
		return fail_usage("'tcp:%s': a port is 65535 at most", text);
	err = getaddrinfo(*host ? host : NULL, port, &hints, &list);
	if (err == EAI_SERVICE)
		return fail_usage("'tcp:%s': '%s' is no port", text, port);
	if (err)
		return fail(EXIT_NOT_FOUND, "%s: %s", text, gai_strerror(err));
	for (info = list; info && addresses->nr < ADDRESS_MAX; info = info->ai_next) {
		struct address *address = &addresses->at[addresses->nr++];

		memcpy(&address->storage, info->ai_addr, info->ai_addrlen);
		address->size = info->ai_addrlen;
		address->family = info->ai_family;
	}
	freeaddrinfo(list);
	return EXIT_OK;
}

static int take(const char *text, int flags, struct addresses *addresses)
{
	memset(addresses, 0, sizeof(*addresses));
	return !strncmp(text, "unix:", 5) ? unix_address(text + 5, addresses) :
					    tcp_addresses(text + 4, flags, addresses);
}

int address_is_meant(const char *text)
{
	return !strncmp(text, "unix:", 5) || !strncmp(text, "tcp:", 4);
}

int address_take(const char *text, struct addresses *addresses)
{
	return take(text, 0, addresses);
}

int address_take_own(const char *text, struct addresses *addresses)
{
	return take(text, AI_PASSIVE, addresses);
}
