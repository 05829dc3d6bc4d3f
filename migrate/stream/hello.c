// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/stream/hello.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <vas/consumer.h>
#include <vas/migrate.h>

int hello_check(struct wire *wire, const struct stream_header *header,
		const struct stream_hello *hello)
{
	if (header->magic != STREAM_MAGIC || header->type != STREAM_HELLO || header->sequence ||
	    header->length != sizeof(*hello))
		return vas_error_set(-EPROTO, "the stream does not begin as one does");
	if (hello->version != STREAM_VERSION)
		return vas_error_set(-EOPNOTSUPP, "a stream of version %u", hello->version);
	wire_set_key(wire, hello->session, hello->channel, false);
	return wire_check_hello(wire, header, hello);
}

int vas_migrate_peek(int fd, struct vas_migrate_hello *hello)
{
	struct {
		struct stream_header header;
		struct stream_hello hello;
	} there;
	static const uint32_t magic = STREAM_MAGIC;
	struct wire wire = { 0 };
	ssize_t nr = recv(fd, &there, sizeof(there), MSG_PEEK | MSG_DONTWAIT);
	int err;

	if (nr < 0)
		return vas_error_set(errno == EINTR ? -EAGAIN : -errno, "the socket: %s",
				     strerror(errno));
	if (!nr)
		return vas_error_set(-ECONNRESET, "the socket is closed");
	if (memcmp(&there, &magic, (size_t)nr < sizeof(magic) ? (size_t)nr : sizeof(magic)))
		return vas_error_set(-EPROTO, "this is no vas stream");
	if (nr < (ssize_t)sizeof(there))
		return vas_error_set(-EAGAIN, "the stream's first chunk is not all there");
	err = hello_check(&wire, &there.header, &there.hello);
	if (err)
		return err;
	if (there.hello.channel >= there.hello.nr_channels ||
	    there.hello.nr_channels > VAS_MIGRATE_MAX_CHANNELS)
		return vas_error_set(-EPROTO, "channel %u of %u", there.hello.channel,
				     there.hello.nr_channels);
	*hello = (struct vas_migrate_hello){ .channel = there.hello.channel,
					     .nr_channels = there.hello.nr_channels };
	memcpy(hello->session, there.hello.session, sizeof(hello->session));
	return 0;
}
