// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * An interface of the host's that is there already, as a veth or a network card: packet(7), with
 * virtio's header. What the guest sends leaves by it, and what comes in by it is the guest's.
 *
 * An interface that goes takes nothing with it but frames: when one of that name is there again,
 * it is bound to, which netlink tells of.
 */
/* Before the kernel's: musl's tells those which structs are there. */
#include <netinet/if_ether.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "device/net/segment.h"

#define MACS	     (2 * NET_MAC_LEN)
#define TAG	     4u
#define SHORT_HEADER offsetof(struct virtio_net_hdr_v1, num_buffers) /* the kernel's */
#define QUEUED	     (4 << 20)	/* bytes that wait for the guest, as the kernel counts them */
#define MESSAGE	     (8u << 10) /* about interfaces, at most */
#define MAX_MESSAGES 64		/* at once */

struct packet {
	struct net_port port; /* its fd is an epoll of these two: */
	int socket, links;
	char name[IFNAMSIZ];
	unsigned int index; /* of the interface that the socket is bound to */
	uint64_t features;  /* that the driver has accepted */
	struct net_segments segments;
	struct iovec rest; /* of what was received, behind its header */
	uint8_t frame[NET_MAX_FRAME];
};

/* ---- the interface ------------------------------------------------------------------------ */

static int check_kind(const struct packet *packet)
{
	struct ifreq request = { 0 };

	strcpy(request.ifr_name, packet->name);
	if (ioctl(packet->socket, SIOCGIFHWADDR, &request))
		return vas_error_set(-errno, "the interface '%s': %s", packet->name,
				     strerror(errno));
	if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return vas_error_set(-EINVAL, "the interface '%s' is no Ethernet", packet->name);
	return 0;
}

/* Frames to the guest's address are to come in, which is another one than the interface's. */
static int bind_to(struct packet *packet, unsigned int index)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)index,
	};
	struct packet_mreq all = { .mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC };
	int err = check_kind(packet);

	if (err)
		return err;
	if (bind(packet->socket, (struct sockaddr *)&address, sizeof(address)) ||
	    setsockopt(packet->socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)))
		return vas_error_set(-errno, "the interface '%s': %s", packet->name,
				     strerror(errno));
	packet->index = index;
	return 0;
}

/* While there is none of that name, what it was stays: that one may have another name now. */
static void follow_links(struct packet *packet)
{
	char message[MESSAGE];
	unsigned int index;
	int nr;

	/* What netlink had to drop is an error, and a change as well. */
	for (nr = 0; nr < MAX_MESSAGES; nr++)
		if (recv(packet->links, message, sizeof(message), MSG_DONTWAIT) < 0 &&
		    errno != ENOBUFS)
			break;
	index = nr ? if_nametoindex(packet->name) : 0;
	if (index && index != packet->index)
		bind_to(packet, index);
}

/* ---- opening ------------------------------------------------------------------------------ */

static int set_options(const struct packet *packet)
{
	static const int options[] = { PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING };
	int one = 1, queued = QUEUED;
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (setsockopt(packet->socket, SOL_PACKET, options[i], &one, sizeof(one)))
			return vas_error_set(-errno, "a packet socket has no option %d: %s",
					     options[i], strerror(errno));
	if (setsockopt(packet->socket, SOL_SOCKET, SO_RCVBUFFORCE, &queued, sizeof(queued)))
		setsockopt(packet->socket, SOL_SOCKET, SO_RCVBUF, &queued, sizeof(queued));
	return 0;
}

static int open_links(struct packet *packet)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };

	packet->links = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (packet->links < 0 || bind(packet->links, (struct sockaddr *)&address, sizeof(address)))
		return vas_error_set(-errno, "no netlink: %s", strerror(errno));
	return 0;
}

static int watch_both(struct packet *packet)
{
	struct epoll_event event = { .events = EPOLLIN };

	packet->port.fd = epoll_create1(EPOLL_CLOEXEC);
	if (packet->port.fd < 0 ||
	    epoll_ctl(packet->port.fd, EPOLL_CTL_ADD, packet->socket, &event) ||
	    epoll_ctl(packet->port.fd, EPOLL_CTL_ADD, packet->links, &event))
		return vas_error_set(-errno, "no epoll: %s", strerror(errno));
	return 0;
}

/* Netlink before the first look at the interface, so that no change is missed. */
static int make(struct packet *packet, const struct net_options *options)
{
	unsigned int index;
	int err;

	if (options->nr_pairs > 1)
		return vas_error_set(-EINVAL,
				     "a packet socket serves one pair of queues, and not %u",
				     options->nr_pairs);
	if (strlen(options->name) >= sizeof(packet->name))
		return vas_error_set(-EINVAL, "'%s' is too long for an interface", options->name);
	strcpy(packet->name, options->name);
	packet->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (packet->socket < 0)
		return vas_error_set(-errno, "a packet socket: %s%s", strerror(errno),
				     errno == EPERM ? " (it needs CAP_NET_RAW)" : "");
	err = open_links(packet);
	if (!err)
		err = set_options(packet);
	if (!err)
		err = watch_both(packet);
	if (err)
		return err;
	index = if_nametoindex(packet->name);
	if (!index)
		return vas_error_set(-ENODEV, "there is no interface '%s'", packet->name);
	return bind_to(packet, index);
}

static void close_packet(struct net_port *port)
{
	struct packet *packet = (struct packet *)port;
	const int fds[] = { port->fd, packet->socket, packet->links };
	size_t i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(packet);
}

static int open_packet(struct net *net, const struct net_options *options, struct net_port **port)
{
	struct packet *packet = calloc(1, sizeof(*packet));
	int err;

	(void)net;
	if (!packet)
		return vas_error_set(-ENOMEM, "no memory for a packet socket");
	packet->port.fd = packet->socket = packet->links = -1;
	err = make(packet, options);
	if (err)
		close_packet(&packet->port);
	else
		*port = &packet->port;
	return err;
}

/* What the guest does not take is done here: the interface is others', too. */
static int start(struct net_port *port, uint64_t features)
{
	((struct packet *)port)->features = features;
	return 0;
}

/* ---- frames ------------------------------------------------------------------------------- */

static bool send_packet(struct net_port *port, const struct net_frame *frame)
{
	struct packet *packet = (struct packet *)port;
	struct iovec iov[1 + NET_FRAME_IOV];
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = frame->nr + 1 };

	iov[0] = (struct iovec){ (void *)&frame->header, SHORT_HEADER };
	memcpy(&iov[1], frame->iov, frame->nr * sizeof(*frame->iov));
	return sendmsg(packet->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* The kernel takes a tag out of a frame; 0: there was none. */
static uint32_t find_tag(struct msghdr *message)
{
	struct tpacket_auxdata aux;
	struct cmsghdr *at;

	for (at = CMSG_FIRSTHDR(message); at; at = CMSG_NXTHDR(message, at)) {
		if (at->cmsg_level != SOL_PACKET || at->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(at), sizeof(aux));
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
			return 0;
		return (uint32_t)(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid :
									      ETH_P_8021Q)
			       << 16 |
		       aux.tp_vlan_tci;
	}
	return 0;
}

static void put_tag(struct packet *packet, struct virtio_net_hdr_v1 *header, uint32_t tag)
{
	uint8_t *frame = packet->frame;
	uint32_t bytes = htonl(tag);

	memmove(frame, frame + TAG, MACS);
	memcpy(frame + MACS, &bytes, sizeof(bytes));
	packet->rest.iov_base = frame;
	packet->rest.iov_len += TAG;
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		header->csum_start = (uint16_t)(header->csum_start + TAG);
	if (header->hdr_len)
		header->hdr_len = (uint16_t)(header->hdr_len + TAG);
}

/* A frame, with room for its tag in front of it. False: there is none. */
static bool receive_whole(struct packet *packet, struct virtio_net_hdr_v1 *header)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct iovec iov[] = {
		{ header, SHORT_HEADER },
		{ packet->frame + TAG, sizeof(packet->frame) - TAG },
	};
	struct msghdr message = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t nr;
	uint32_t tag;

	header->num_buffers = 0;
	/* It says once that the interface is down, or gone. */
	nr = recvmsg(packet->socket, &message, MSG_DONTWAIT);
	if (nr < (ssize_t)(SHORT_HEADER + MACS) || message.msg_flags & MSG_TRUNC)
		return false;
	packet->rest = (struct iovec){ packet->frame + TAG, (size_t)nr - SHORT_HEADER };
	tag = find_tag(&message);
	if (tag)
		put_tag(packet, header, tag);
	return true;
}

static bool takes(const struct packet *packet, unsigned int feature)
{
	return packet->features >> feature & 1;
}

static bool takes_segment(const struct packet *packet, uint8_t type)
{
	if (type & VIRTIO_NET_HDR_GSO_ECN && !takes(packet, VIRTIO_NET_F_GUEST_ECN))
		return false;
	switch (type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return takes(packet, VIRTIO_NET_F_GUEST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return takes(packet, VIRTIO_NET_F_GUEST_TSO6);
	default:
		return false;
	}
}

/* As far as the guest cannot do itself what others have left. False: it cannot be done. */
static bool finish(struct packet *packet, struct net_frame *frame)
{
	struct virtio_net_hdr_v1 *header = &frame->header;
	uint8_t *bytes = packet->rest.iov_base;
	uint32_t len = (uint32_t)packet->rest.iov_len;

	if (header->gso_type && !takes_segment(packet, header->gso_type))
		return net_segments_begin(&packet->segments, header, bytes, len) &&
		       net_segments_next(&packet->segments, frame);
	if (!takes(packet, VIRTIO_NET_F_GUEST_CSUM)) {
		if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !net_sum(header, bytes, len))
			return false;
		*header = (struct virtio_net_hdr_v1){ 0 };
	}
	frame->iov = &packet->rest;
	frame->nr = 1;
	frame->len = len;
	return true;
}

static int receive(struct net_port *port, struct net_frame *frame)
{
	struct packet *packet = (struct packet *)port;

	if (net_segments_next(&packet->segments, frame))
		return 1;
	if (receive_whole(packet, &frame->header))
		return finish(packet, frame);
	follow_links(packet);
	return 0;
}

const struct net_port_ops net_packet = {
	.name = "packet",
	.features = NET_KERNEL_FEATURES,
	.reaches_others = true,
	.open = open_packet,
	.close = close_packet,
	.start = start,
	.send = send_packet,
	.receive = receive,
};
