// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "device/stream.h"

#include <errno.h>

uint64_t stream_next(struct stream *stream, uint64_t *len)
{
	uint64_t gpa;

	while (stream->nr && stream->at == stream->segment->len) {
		stream->segment++;
		stream->nr--;
		stream->at = 0;
	}
	if (!stream->nr) {
		*len = 0;
		return 0;
	}
	if (*len > stream->segment->len - stream->at)
		*len = stream->segment->len - stream->at;
	gpa = stream->segment->gpa + stream->at;
	stream->at += (uint32_t)*len;
	return gpa;
}

int stream_read(struct stream *stream, const struct memory *memory, void *to, uint64_t len)
{
	while (len) {
		uint64_t nr = len, gpa = stream_next(stream, &nr);

		if (!nr || memory_read(memory, gpa, to, (uint32_t)nr))
			return -EPROTO;
		to = (char *)to + nr;
		len -= nr;
	}
	return 0;
}

int stream_write(struct stream *stream, const struct memory *memory, const void *from, uint64_t len)
{
	while (len) {
		uint64_t nr = len, gpa = stream_next(stream, &nr);

		if (!nr || memory_write(memory, gpa, from, (uint32_t)nr))
			return -EPROTO;
		from = (const char *)from + nr;
		len -= nr;
	}
	return 0;
}

int stream_map(struct stream *stream, const struct memory *memory, enum memory_access access,
	       uint64_t len, struct iovec *iov, uint32_t max)
{
	uint64_t there = 0, gpa = 0; /* of a range that was begun */
	uint32_t nr = 0;

	for (; len; len -= iov[nr++].iov_len) {
		uint64_t nr_here;
		uint8_t *bytes;

		if (!there) {
			there = len;
			gpa = stream_next(stream, &there);
		}
		nr_here = there;
		bytes = there ? memory_at(memory, gpa, &nr_here, access) : NULL;
		if (!bytes || nr == max)
			return -EPROTO;
		iov[nr] = (struct iovec){ bytes, nr_here };
		gpa += nr_here;
		there -= nr_here;
	}
	return (int)nr;
}
