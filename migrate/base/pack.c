// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/base/pack.h"

#include <errno.h>
#include <lz4.h>
#include <stdlib.h>
#include <vas/consumer.h>
#include <zstd.h>

#define ZSTD_LEVEL 1

int pack_init(struct pack *pack, uint32_t kind)
{
	size_t lz4 = (size_t)LZ4_compressBound(STREAM_WORD_SIZE);
	size_t zstd = ZSTD_compressBound(STREAM_WORD_SIZE);

	*pack = (struct pack){ .kind = kind, .room = lz4 > zstd ? lz4 : zstd };
	pack->buffer = malloc(pack->room);
	if (kind == STREAM_ZSTD)
		pack->context = ZSTD_createCCtx();
	if (pack->buffer && (kind != STREAM_ZSTD || pack->context))
		return 0;
	pack_clean(pack);
	return vas_error_set(-ENOMEM, "no memory for buffers");
}

void pack_clean(struct pack *pack)
{
	ZSTD_freeCCtx(pack->context);
	free(pack->buffer);
	*pack = (struct pack){ 0 };
}

size_t pack_word(struct pack *pack, const void *raw, size_t size)
{
	size_t packed = 0;

	if (pack->kind == STREAM_LZ4) {
		packed =
			(size_t)LZ4_compress_default(raw, pack->buffer, (int)size, (int)pack->room);
	} else if (pack->kind == STREAM_ZSTD) {
		packed = ZSTD_compressCCtx(pack->context, pack->buffer, pack->room, raw, size,
					   ZSTD_LEVEL);
		if (ZSTD_isError(packed))
			packed = 0;
	}
	return packed < size - size / 16 ? packed : 0;
}

int unpack_word(struct pack *pack, uint32_t kind, size_t packed, void *raw, size_t size)
{
	size_t got = 0;

	if (kind == STREAM_LZ4) {
		int nr = LZ4_decompress_safe(pack->buffer, raw, (int)packed, (int)size);

		got = nr < 0 ? 0 : (size_t)nr;
	} else {
		got = ZSTD_decompress(raw, size, pack->buffer, packed);
	}
	return got == size ? 0 :
			     vas_error_set(-EPROTO, "a packed chunk does not give what it should");
}
