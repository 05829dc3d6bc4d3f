/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The bytes of a chain's segments, one after the other, from the front on: where a driver cuts what
 * it sends into segments is its own choice.
 */
#ifndef DEVICE_STREAM_H
#define DEVICE_STREAM_H

#include <stdint.h>
#include <sys/uio.h>

#include "device/memory.h"

struct stream {
	const struct vas_virtq_segment *segment;
	uint32_t nr;
	uint32_t at; /* in the first one */
};

static inline struct stream stream_out(const struct vas_virtq_chain *chain)
{
	return (struct stream){ chain->segments, chain->nr_out, 0 };
}

static inline struct stream stream_in(const struct vas_virtq_chain *chain)
{
	return (struct stream){ chain->segments + chain->nr_out, chain->nr_in, 0 };
}

/* The gpa of the next range, of at most *len bytes. *len 0: there is none. */
uint64_t stream_next(struct stream *stream, uint64_t *len);

/* Copy out of it, or into it and mark what was written. -EPROTO: there is no such memory. */
int stream_read(struct stream *stream, const struct memory *memory, void *to, uint64_t len);
int stream_write(struct stream *stream, const struct memory *memory, const void *from,
		 uint64_t len);

/* Where the next len bytes are: how many pieces. -EPROTO: not in memory, or in more than max. */
int stream_map(struct stream *stream, const struct memory *memory, enum memory_access access,
	       uint64_t len, struct iovec *iov, uint32_t max);

#endif
