// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Each frame of the guest's is copied into memory of the port's own, as whoever sends it on must
 * do, and dropped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "device/net/port.h"

struct null_port {
	struct net_port port;
	struct iovec generated;
	uint8_t frame[NET_MAX_FRAME]; /* that is generated */
	uint8_t taken[NET_MAX_FRAME];
};

static int open_null(struct net *net, const struct net_options *options, struct net_port **port)
{
	struct null_port *null = calloc(1, sizeof(*null));

	(void)net;
	if (!null)
		return vas_error_set(-ENOMEM, "no memory for a network");
	null->port.fd = -1;
	null->generated = (struct iovec){ null->frame, options->generate };
	memset(null->frame, 0xff, NET_MAC_LEN); /* to all */
	null->frame[NET_MAC_LEN] = 2;		/* from an address that is nobody's */
	null->frame[12] = 0x88;			/* of a type that is for experiments */
	null->frame[13] = 0xb5;
	*port = &null->port;
	return 0;
}

static void close_null(struct net_port *port)
{
	free(port);
}

static bool send_null(struct net_port *port, const struct net_frame *frame)
{
	uint8_t *to = ((struct null_port *)port)->taken;
	uint32_t i;

	for (i = 0; i < frame->nr; i++) {
		memcpy(to, frame->iov[i].iov_base, frame->iov[i].iov_len);
		to += frame->iov[i].iov_len;
	}
	return true;
}

static int generate(struct net_port *port, struct net_frame *frame)
{
	struct null_port *null = (struct null_port *)port;

	if (!null->generated.iov_len)
		return -ENODATA;
	*frame = (struct net_frame){
		.iov = &null->generated,
		.nr = 1,
		.len = (uint32_t)null->generated.iov_len,
	};
	return 1;
}

const struct net_port_ops net_null = {
	.name = "null",
	.open = open_null,
	.close = close_null,
	.send = send_null,
	.receive = generate,
};
