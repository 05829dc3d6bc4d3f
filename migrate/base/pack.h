/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Payloads of a word, compressed or as they are. */
#ifndef MIGRATE_PACK_H
#define MIGRATE_PACK_H

#include <stddef.h>

#include "migrate/base/stream.h"

struct pack {
	uint32_t kind; /* 0, STREAM_LZ4 or STREAM_ZSTD */
	void *context; /* zstd's */
	char *buffer;
	size_t room;
};

/* For packing with `kind`, or (kind 0) for unpacking whatever comes. -ENOMEM. */
int pack_init(struct pack *pack, uint32_t kind);
void pack_clean(struct pack *pack);

/* Into pack->buffer: the size there, or 0 if it is not worth it. */
size_t pack_word(struct pack *pack, const void *raw, size_t size);

/* `packed` (in pack->buffer) gives exactly `size` bytes at raw, or -EPROTO. */
int unpack_word(struct pack *pack, uint32_t kind, size_t packed, void *raw, size_t size);

#endif
