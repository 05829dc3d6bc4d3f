// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* An interface of the host's, whose other end is the guest: tun(4), with virtio's header. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "device/net/port.h"

struct tap {
	struct net_port port;
	bool is_multi_queue;
	struct iovec rest; /* of what was received, behind its header */
	uint8_t frame[NET_MAX_FRAME];
};

/* What no guest takes should go to another queue. */
static void attach(struct net_port *port, bool takes)
{
	struct ifreq request = { .ifr_flags = takes ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	if (((struct tap *)port)->is_multi_queue)
		ioctl(port->fd, TUNSETQUEUE, &request);
}

static int make(struct tap *tap, const struct net_options *options)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header_len = sizeof(struct virtio_net_hdr_v1);

	tap->is_multi_queue = options->nr_pairs > 1;
	if (tap->is_multi_queue)
		request.ifr_flags |= IFF_MULTI_QUEUE;
	if (strlen(options->name) >= sizeof(request.ifr_name))
		return vas_error_set(-EINVAL, "'%s' is too long for an interface", options->name);
	strcpy(request.ifr_name, options->name);
	tap->port.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap->port.fd < 0)
		return vas_error_set(-errno, "/dev/net/tun: %s", strerror(errno));
	if (ioctl(tap->port.fd, TUNSETIFF, &request) ||
	    ioctl(tap->port.fd, TUNSETVNETHDRSZ, &header_len))
		return vas_error_set(-errno, "the tap '%s' with %u queues: %s", options->name,
				     options->nr_pairs, strerror(errno));
	attach(&tap->port, false);
	return 0;
}

static void close_tap(struct net_port *port)
{
	if (port->fd >= 0)
		close(port->fd);
	free(port);
}

static int open_tap(struct net *net, const struct net_options *options, struct net_port **port)
{
	struct tap *tap = calloc(1, sizeof(*tap));
	int err;

	(void)net;
	if (!tap)
		return vas_error_set(-ENOMEM, "no memory for a tap");
	tap->port.fd = -1;
	err = make(tap, options);
	if (err)
		close_tap(&tap->port);
	else
		*port = &tap->port;
	return err;
}

/* What the guest may get. What it sends the kernel takes as its header says. */
static int start(struct net_port *port, uint64_t features)
{
	static const struct {
		unsigned int feature, offload;
	} map[] = {
		{ VIRTIO_NET_F_GUEST_CSUM, TUN_F_CSUM },
		{ VIRTIO_NET_F_GUEST_TSO4, TUN_F_TSO4 },
		{ VIRTIO_NET_F_GUEST_TSO6, TUN_F_TSO6 },
		{ VIRTIO_NET_F_GUEST_ECN, TUN_F_TSO_ECN },
	};
	unsigned int offloads = 0;
	size_t i;

	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (features >> map[i].feature & 1)
			offloads |= map[i].offload;
	/* The others mean nothing without checksums, and are refused. */
	if (!(offloads & TUN_F_CSUM))
		offloads = 0;
	if (ioctl(port->fd, TUNSETOFFLOAD, offloads))
		return vas_error_set(-errno, "the tap takes no offloads %#x: %s", offloads,
				     strerror(errno));
	return 0;
}

static bool send_tap(struct net_port *port, const struct net_frame *frame)
{
	struct iovec iov[1 + NET_FRAME_IOV];

	iov[0] = (struct iovec){ (void *)&frame->header, sizeof(frame->header) };
	memcpy(&iov[1], frame->iov, frame->nr * sizeof(*frame->iov));
	return writev(port->fd, iov, (int)frame->nr + 1) >= 0;
}

static int receive(struct net_port *port, struct net_frame *frame)
{
	struct tap *tap = (struct tap *)port;
	struct iovec iov[] = {
		{ &frame->header, sizeof(frame->header) },
		{ tap->frame, sizeof(tap->frame) },
	};
	ssize_t nr = readv(port->fd, iov, 2);

	/* An interface that is down has nothing to say, which may change. */
	if (nr < 0)
		return errno == EBADFD || errno == EIO ? -errno : 0;
	if ((size_t)nr < sizeof(frame->header))
		return 0;
	tap->rest = (struct iovec){ tap->frame, (size_t)nr - sizeof(frame->header) };
	frame->iov = &tap->rest;
	frame->nr = 1;
	frame->len = (uint32_t)tap->rest.iov_len;
	return 1;
}

const struct net_port_ops net_tap = {
	.name = "tap",
	.features = NET_KERNEL_FEATURES,
	.reaches_others = true,
	.open = open_tap,
	.close = close_tap,
	.start = start,
	.send = send_tap,
	.receive = receive,
	.attach = attach,
};
