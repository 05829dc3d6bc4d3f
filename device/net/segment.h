/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a network leaves to whoever is last, for a guest that has not offered to do it: a sum is
 * filled in, and a large segment of TCP, or datagrams of UDP in one, are cut into frames.
 */
#ifndef DEVICE_NET_SEGMENT_H
#define DEVICE_NET_SEGMENT_H

#include "device/net/port.h"

struct net_segments {
	/* What is cut; all zeros: nothing. */
	const uint8_t *frame;
	uint32_t len, at; /* how far it was cut */
	uint32_t l3, l4, header_len;
	uint32_t size; /* of a frame's payload */
	bool is_tcp, is_v6;
	uint32_t nr; /* frames so far */
	struct iovec iov;
	uint8_t room[NET_MAX_FRAME];
};

/* As the header says, from its csum_start on. False: that is not within the frame. */
bool net_sum(const struct virtio_net_hdr_v1 *header, uint8_t *frame, uint32_t len);

/* False: it makes no sense, or nobody can cut such a frame. The frame stays the caller's. */
bool net_segments_begin(struct net_segments *segments, const struct virtio_net_hdr_v1 *header,
			const uint8_t *frame, uint32_t len);

/* The next one, good until the next call. False: that was all. */
bool net_segments_next(struct net_segments *segments, struct net_frame *frame);

#endif
