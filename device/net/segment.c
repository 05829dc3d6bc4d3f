// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/net/segment.h"

#include <string.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5 /* Linux 6.2 */
#endif

#define ETHER	   14u
#define TAG	   4u
#define TAGGED	   0x8100u /* at 12: a tag is in front of the type */
#define PROTO_TCP  6u
#define PROTO_UDP  17u
#define V4_HEADER  20u
#define V6_HEADER  40u
#define TCP_HEADER 20u
#define UDP_HEADER 8u
#define TCP_SUM	   16u /* where it is in the header */
#define UDP_SUM	   6u
#define TCP_FLAGS  13u
#define FIN	   0x01u
#define PSH	   0x08u
#define CWR	   0x80u

/* ---- sums --------------------------------------------------------------------------------- */

static uint32_t get16(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 8 | bytes[1];
}

static void put16(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static uint64_t add(uint64_t sum, const uint8_t *bytes, uint32_t len)
{
	for (; len > 1; len -= 2, bytes += 2)
		sum += get16(bytes);
	return len ? sum + ((uint32_t)bytes[0] << 8) : sum;
}

static uint32_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint32_t)(~sum & 0xffff);
}

/* The field holds the sum of what is in front already. */
bool net_sum(const struct virtio_net_hdr_v1 *header, uint8_t *frame, uint32_t len)
{
	uint32_t from = header->csum_start, at = from + header->csum_offset, sum;

	if (from > len || at + 2 > len)
		return false;
	sum = fold(add(0, frame + from, len - from));
	/* Of UDP, 0 says that there is none; elsewhere the two are the same. */
	put16(frame + at, sum ? sum : 0xffff);
	return true;
}

/* ---- what it is --------------------------------------------------------------------------- */

static bool find_ip(struct net_segments *segments)
{
	const uint8_t *ip = segments->frame + segments->l3;
	uint32_t proto = segments->is_tcp ? PROTO_TCP : PROTO_UDP;

	if (segments->is_v6)
		return segments->l4 == segments->l3 + V6_HEADER && ip[0] >> 4 == 6 &&
		       ip[6] == proto;
	return segments->l4 >= segments->l3 + V4_HEADER && ip[0] >> 4 == 4 &&
	       segments->l4 == segments->l3 + (ip[0] & 15u) * 4 && ip[9] == proto;
}

static bool find_payload(struct net_segments *segments)
{
	uint32_t least = segments->is_tcp ? TCP_HEADER : UDP_HEADER, header = least;

	if (segments->l4 + least > segments->len)
		return false;
	if (segments->is_tcp)
		header = (segments->frame[segments->l4 + 12] >> 4) * 4u;
	segments->header_len = segments->l4 + header;
	return header >= least && segments->header_len < segments->len;
}

bool net_segments_begin(struct net_segments *segments, const struct virtio_net_hdr_v1 *header,
			const uint8_t *frame, uint32_t len)
{
	uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	bool is_right;

	segments->frame = frame;
	segments->len = len;
	segments->l3 = len > ETHER && get16(frame + 12) == TAGGED ? ETHER + TAG : ETHER;
	segments->l4 = header->csum_start;
	segments->size = header->gso_size;
	segments->is_tcp = type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;
	segments->is_v6 = len >= segments->l3 && get16(frame + segments->l3 - 2) == 0x86dd;
	segments->nr = 0;
	is_right = (segments->is_tcp || type == VIRTIO_NET_HDR_GSO_UDP_L4) && segments->size &&
		   len <= sizeof(segments->room) && segments->l3 + V4_HEADER <= segments->l4 &&
		   segments->l4 <= len && find_ip(segments) && find_payload(segments);
	segments->at = segments->header_len;
	if (!is_right)
		segments->frame = NULL;
	return is_right;
}

/* ---- the frames --------------------------------------------------------------------------- */

static void fix_ip(const struct net_segments *segments, uint8_t *ip, uint32_t len)
{
	if (segments->is_v6) {
		put16(ip + 4, len - V6_HEADER);
		return;
	}
	put16(ip + 2, len);
	put16(ip + 4, get16(ip + 4) + segments->nr);
	put16(ip + 10, 0);
	put16(ip + 10, fold(add(0, ip, segments->l4 - segments->l3)));
}

static void fix_tcp(const struct net_segments *segments, uint8_t *tcp, bool is_last)
{
	uint32_t sequence =
		(get16(tcp + 4) << 16 | get16(tcp + 6)) + segments->at - segments->header_len;

	put16(tcp + 4, sequence >> 16);
	put16(tcp + 6, sequence);
	if (!is_last)
		tcp[TCP_FLAGS] &= (uint8_t) ~(FIN | PSH);
	if (segments->nr)
		tcp[TCP_FLAGS] &= (uint8_t)~CWR;
}

/* With the addresses, the protocol and the length that IP has. */
static void fix_sum(const struct net_segments *segments, const uint8_t *ip, uint8_t *l4,
		    uint32_t len)
{
	uint8_t *at = l4 + (segments->is_tcp ? TCP_SUM : UDP_SUM);
	uint64_t sum = len + (segments->is_tcp ? PROTO_TCP : PROTO_UDP);
	uint32_t result;

	sum = segments->is_v6 ? add(sum, ip + 8, 32) : add(sum, ip + 12, 8);
	put16(at, 0);
	result = fold(add(sum, l4, len));
	put16(at, result || segments->is_tcp ? result : 0xffff);
}

bool net_segments_next(struct net_segments *segments, struct net_frame *frame)
{
	uint32_t part = segments->len - segments->at, len;
	uint8_t *room = segments->room;

	if (!segments->frame)
		return false;
	if (part > segments->size)
		part = segments->size;
	len = segments->header_len + part;
	memcpy(room, segments->frame, segments->header_len);
	memcpy(room + segments->header_len, segments->frame + segments->at, part);
	fix_ip(segments, room + segments->l3, len - segments->l3);
	if (segments->is_tcp)
		fix_tcp(segments, room + segments->l4, segments->at + part == segments->len);
	else
		put16(room + segments->l4 + 4, len - segments->l4);
	fix_sum(segments, room + segments->l3, room + segments->l4, len - segments->l4);
	segments->at += part;
	segments->nr++;
	if (segments->at == segments->len)
		segments->frame = NULL;
	segments->iov = (struct iovec){ room, len };
	*frame = (struct net_frame){ .iov = &segments->iov, .nr = 1, .len = len };
	return true;
}
