/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Chunks by hand: all sums are right, whatever the chunk says. */
#ifndef TESTS_MIGRATE_FORGED_H
#define TESTS_MIGRATE_FORGED_H

#include <stddef.h>

#include "migrate/base/stream.h"

/* One direction of a channel. */
struct forged {
	int fd;
	uint64_t key;
	uint64_t sequence;
	uint64_t pages; /* that words have named */
};

/* The way there, of a stream that the peer has begun with this session, or of one's own. */
void forged_init(struct forged *f, int fd, const uint8_t session[16], uint32_t channel);
/* The way back. */
void forged_init_back(struct forged *f, int fd, const uint8_t session[16]);

/* Sequence and sums are filled in; the header as it would be sent. */
void forged_seal(struct forged *f, struct stream_header *header, const void *payload);
void forged_put(struct forged *f, struct stream_header header, const void *payload);

/* HELLO of a stream with one channel and no way back; a LAYOUT with one region from gpa 0 on. */
void forged_begin(struct forged *f, uint64_t size, uint32_t page_size);
/* The same with these flags in HELLO. */
void forged_begin_with(struct forged *f, uint64_t size, uint32_t page_size, uint32_t flags);
/* STATE, END. */
void forged_end(struct forged *f);

/* The peer's chunk: its header, and of its payload what there is room for; the rest is dropped. */
struct stream_header forged_take(int fd, void *payload, size_t room);

#endif
