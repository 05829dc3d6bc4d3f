// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Large segments cut into frames, and sums filled in, for a guest that does neither. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "device/net/segment.h"
#include "harness.h"

#define PAYLOAD 4321u
#define SIZE	1000u
#define UDP_GSO 5u /* VIRTIO_NET_HDR_GSO_UDP_L4 */

struct kind {
	bool is_v6, is_tcp, is_tagged;
};

/* Where things are in a frame of a kind. */
static uint32_t l3_of(const struct kind *kind)
{
	return kind->is_tagged ? 18 : 14;
}

static uint32_t l4_of(const struct kind *kind)
{
	return l3_of(kind) + (kind->is_v6 ? 40 : 20);
}

static uint32_t data_of(const struct kind *kind)
{
	return l4_of(kind) + (kind->is_tcp ? 32 : 8); /* TCP with options */
}

static uint32_t get(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 8 | bytes[1];
}

static void put(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static uint32_t sum(const uint8_t *bytes, uint32_t len, uint32_t start)
{
	for (uint32_t i = 0; i < len; i++)
		start += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return start;
}

/* Of what IP has, with which the sum of what is in it begins. */
static uint32_t pseudo(const struct kind *kind, const uint8_t *frame, uint32_t len)
{
	const uint8_t *ip = frame + l3_of(kind);
	uint32_t start = len - l4_of(kind) + (kind->is_tcp ? 6 : 17);

	return kind->is_v6 ? sum(ip + 8, 32, start) : sum(ip + 12, 8, start);
}

static uint32_t make(const struct kind *kind, uint8_t *frame)
{
	uint8_t *ip = frame + l3_of(kind), *l4 = frame + l4_of(kind);
	uint32_t len = data_of(kind) + PAYLOAD;

	for (uint32_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(i * 7 + i / 256);
	if (kind->is_tagged)
		put(frame + 12, 0x8100);
	put(ip - 2, kind->is_v6 ? 0x86dd : 0x800);
	ip[0] = kind->is_v6 ? 0x60 : 0x45;
	ip[kind->is_v6 ? 6 : 9] = kind->is_tcp ? 6 : 17;
	if (!kind->is_v6)
		put(ip + 4, 0xfffe); /* which wraps */
	if (kind->is_tcp) {
		l4[12] = 0x80;
		l4[13] = 0x99; /* CWR, ACK, PSH, FIN */
		memcpy(l4 + 4, "\xff\xff\xf8\x00", 4);
	}
	return len;
}

static struct virtio_net_hdr_v1 header_of(const struct kind *kind)
{
	return (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = !kind->is_tcp ? UDP_GSO :
			    kind->is_v6	  ? VIRTIO_NET_HDR_GSO_TCPV6 :
					    VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
		.gso_size = SIZE,
		.csum_start = (uint16_t)l4_of(kind),
		.csum_offset = kind->is_tcp ? 16 : 6,
	};
}

static void check_ip(const struct kind *kind, const uint8_t *frame, uint32_t len, uint32_t nr)
{
	const uint8_t *ip = frame + l3_of(kind);

	if (kind->is_v6) {
		CHECK_EQ(get(ip + 4), len - l3_of(kind) - 40);
		return;
	}
	CHECK_EQ(get(ip + 2), len - l3_of(kind));
	CHECK_EQ(get(ip + 4), (0xfffe + nr) & 0xffff);
	CHECK_EQ(sum(ip, 20, 0), 0xffff);
}

static void check_l4(const struct kind *kind, const uint8_t *frame, uint32_t len, uint32_t nr,
		     bool is_last)
{
	const uint8_t *l4 = frame + l4_of(kind);
	uint32_t at = nr * SIZE;

	CHECK_EQ(sum(l4, len - l4_of(kind), pseudo(kind, frame, len)), 0xffff);
	if (!kind->is_tcp) {
		CHECK_EQ(get(l4 + 4), len - l4_of(kind));
		return;
	}
	CHECK_EQ(get(l4 + 4) << 16 | get(l4 + 6), 0xfffff800u + at);
	CHECK_EQ(l4[13], (nr ? 0 : 0x80) | 0x10 | (is_last ? 9 : 0));
}

static struct net_segments segments;

static void is_cut(const struct kind *kind)
{
	static uint8_t frame[8192];
	uint32_t len = make(kind, frame), nr = 0, done = 0;
	struct virtio_net_hdr_v1 header = header_of(kind);
	struct net_frame out;

	CHECK(net_segments_begin(&segments, &header, frame, len));
	for (; net_segments_next(&segments, &out); nr++) {
		const uint8_t *bytes = out.iov->iov_base;
		uint32_t part = out.len - data_of(kind);

		CHECK_EQ(out.nr, 1);
		CHECK_EQ(out.header.gso_type | out.header.flags, 0);
		CHECK_EQ(part, PAYLOAD - done < SIZE ? PAYLOAD - done : SIZE);
		CHECK_MEM(bytes, frame, l3_of(kind));
		CHECK_MEM(bytes + data_of(kind), frame + data_of(kind) + done, part);
		check_ip(kind, bytes, out.len, nr);
		check_l4(kind, bytes, out.len, nr, done + part == PAYLOAD);
		done += part;
	}
	CHECK_EQ(done, PAYLOAD);
	CHECK_EQ(nr, 5);
}

TEST(segments_of_each_kind_are_cut_into_frames)
{
	for (int i = 0; i < 8; i++) {
		const struct kind kind = { i & 1, i & 2, i & 4 };

		test_note("v6 %d, tcp %d, tagged %d", kind.is_v6, kind.is_tcp, kind.is_tagged);
		is_cut(&kind);
	}
}

TEST(a_sum_is_filled_in)
{
	static const struct kind kind = { false, true, false };
	struct virtio_net_hdr_v1 header = header_of(&kind);
	static uint8_t frame[8192];
	uint32_t len = make(&kind, frame);

	/* An odd number of bytes, and the sum of the addresses where it is to be. */
	put(frame + l4_of(&kind) + 16, pseudo(&kind, frame, len));
	CHECK(net_sum(&header, frame, len));
	CHECK_EQ(sum(frame + l4_of(&kind), len - l4_of(&kind), pseudo(&kind, frame, len)), 0xffff);
	CHECK(!net_sum(&header, frame, l4_of(&kind) + 17));
	header.csum_start = 0xffff;
	CHECK(!net_sum(&header, frame, len));
}

TEST(what_is_longer_than_any_frame_is_not_cut)
{
	static const struct kind kind = { false, true, false };
	struct virtio_net_hdr_v1 header = header_of(&kind);
	static uint8_t frame[NET_MAX_FRAME + 1];
	struct net_frame out;

	make(&kind, frame);
	header.gso_size = 0xffff;
	CHECK(!net_segments_begin(&segments, &header, frame, sizeof(frame)));
	CHECK(!net_segments_next(&segments, &out));
	CHECK(net_segments_begin(&segments, &header, frame, sizeof(frame) - 1));
	CHECK(net_segments_next(&segments, &out));
	CHECK_EQ(out.len, sizeof(frame) - 1);
}

/* Whatever header and frame say: within the frame, and over in the end. */
static void survives(struct test_random *random, const struct kind *kind)
{
	struct virtio_net_hdr_v1 header = header_of(kind);
	uint32_t full = data_of(kind) + PAYLOAD, len = (uint32_t)test_random_below(random, 200);
	uint8_t *frame, whole[8192];
	struct net_frame out;
	uint32_t nr = 0;

	make(kind, whole);
	if (test_random_below(random, 2))
		len = full;
	for (uint64_t i = test_random_below(random, 4); i; i--)
		((uint8_t *)&header)[test_random_below(random, sizeof(header))] =
			(uint8_t)test_random_next(random);
	for (uint64_t i = test_random_below(random, 4); i; i--)
		whole[test_random_below(random, 80)] = (uint8_t)test_random_next(random);
	frame = malloc(len ? len : 1);
	CHECK(frame);
	memcpy(frame, whole, len);
	net_sum(&header, frame, len);
	if (net_segments_begin(&segments, &header, frame, len))
		while (net_segments_next(&segments, &out)) {
			CHECK(out.len <= NET_MAX_FRAME);
			CHECK(nr++ < len);
		}
	CHECK(!net_segments_next(&segments, &out));
	free(frame);
}

TEST(what_makes_no_sense_is_not_cut)
{
	struct test_random random = { test_seed() };

	for (uint32_t i = 0; i < 200000; i++) {
		const struct kind kind = { i & 1, i & 2, i & 4 };

		survives(&random, &kind);
	}
}
