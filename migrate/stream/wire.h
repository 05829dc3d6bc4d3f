/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whole chunks over an fd that may be slow, shut, or in hostile hands. */
#ifndef MIGRATE_WIRE_H
#define MIGRATE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "lib/base/deadline.h"
#include "migrate/base/stream.h"

#define WIRE_MAX_IOV 66

/* What the channels of a stream share. */
struct wire_group {
	bool cancel;	       /* atomic: another thread's request; looked at ten times a second */
	uint64_t last_ns;      /* atomic: when a chunk was last complete, on any channel */
	struct deadline limit; /* of everything; set while no channel's thread runs */
};

/*
 * A chunk is to be over stall_ns after it began, or after any other was over: a peer that is slow
 * on one channel, or has nothing for it, is alive as long as chunks get done on another. One of
 * more than 256 KiB gets stall_ns for each 256 KiB.
 */
struct wire {
	int fd;
	bool is_socket;
	bool is_pipe;
	uint32_t channel;
	uint64_t key;	   /* seed of checksums: of the session and the channel */
	uint64_t sequence; /* of the next chunk */
	uint64_t stall_ns; /* UINT64_MAX: a chunk may take as long as it likes */
	struct wire_group *group;
	uint64_t bytes;
	size_t have;		    /* of a header that is not all there */
	struct timeval timeouts[2]; /* of the socket, as the caller had them */
	int buffer;		    /* the same; 0: left alone */
};

/* stall_ns 0: 30 s, or for ever over a pipe, where nobody can say that he is alive. */
void wire_init(struct wire *wire, int fd, uint64_t stall_ns, struct wire_group *group);
/* Leave the fd as it was found. */
void wire_clean(const struct wire *wire);

/* From here on, checksums belong to this session, channel and direction. */
void wire_set_key(struct wire *wire, const uint8_t session[16], uint32_t channel, bool back);

/* Fill in what every header has, and send it with its payload, which is summed here. */
int wire_send(struct wire *wire, struct stream_header *header, const void *payload);

/* The same with a payload in segments of whole blocks, whose sizes add up to header->length. */
int wire_send_segments(struct wire *wire, struct stream_header *header,
		       const struct iovec *segments, int nr);

/* Room in a local socket's buffer for one more short chunk, even if the peer reads none. */
void wire_make_room(const struct wire *wire);

/* -ECANCELED, or -ETIMEDOUT at the group's limit. */
int wire_check(const struct wire *wire);

/*
 * A header that is sound and next in order. Its payload must be read next. -EPROTO; -ECONNRESET:
 * the stream ends here; -ETIMEDOUT, -ECANCELED: what has come of it is in *header, for a further
 * call with the same to go on with.
 */
int wire_recv_header(struct wire *wire, struct stream_header *header);

/*
 * The payload into iov, whose sizes add up to header->length, and its sum compared. iov is used up.
 */
int wire_recv_payload(struct wire *wire, const struct stream_header *header,
		      const struct iovec *iov, int nr);

/* HELLO brings the key that it is summed with: compare, once it is set. */
int wire_check_hello(const struct wire *wire, const struct stream_header *header,
		     const struct stream_hello *hello);

/* No more, in either direction: whoever waits on the other side wakes up. */
void wire_shut(const struct wire *wire);

#endif
