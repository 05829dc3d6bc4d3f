// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "forged.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xxhash.h>

#include "tests/harness.h"

void forged_init(struct forged *f, int fd, const uint8_t session[16], uint32_t channel)
{
	*f = (struct forged){ .fd = fd, .key = XXH3_64bits_withSeed(session, 16, 2 * channel) };
}

void forged_init_back(struct forged *f, int fd, const uint8_t session[16])
{
	*f = (struct forged){ .fd = fd, .key = XXH3_64bits_withSeed(session, 16, 1) };
}

static uint64_t sum_of(uint64_t key, const char *payload, size_t length)
{
	uint64_t sum = key;

	while (length) {
		size_t size = length < STREAM_SUM_BLOCK ? length : STREAM_SUM_BLOCK;
		uint64_t hash = XXH3_64bits(payload, size);

		sum = XXH3_64bits_withSeed(&hash, sizeof(hash), sum);
		payload += size;
		length -= size;
	}
	return sum;
}

void forged_seal(struct forged *f, struct stream_header *header, const void *payload)
{
	header->magic = STREAM_MAGIC;
	header->sequence = f->sequence++;
	header->payload_sum = sum_of(f->key, payload, header->length);
	header->header_sum =
		XXH3_64bits_withSeed(header, offsetof(struct stream_header, header_sum), f->key);
	if (header->type == STREAM_WORD)
		f->pages += (uint64_t)__builtin_popcountll(header->data | header->zero);
}

void forged_put(struct forged *f, struct stream_header header, const void *payload)
{
	forged_seal(f, &header, payload);
	CHECK_EQ(write(f->fd, &header, sizeof(header)), (ssize_t)sizeof(header));
	CHECK_EQ(write(f->fd, payload, header.length), (ssize_t)header.length);
}

void forged_begin(struct forged *f, uint64_t size, uint32_t page_size)
{
	forged_begin_with(f, size, page_size, STREAM_ONE_WAY);
}

void forged_begin_with(struct forged *f, uint64_t size, uint32_t page_size, uint32_t flags)
{
	const struct stream_hello hello = { .version = STREAM_VERSION,
					    .nr_channels = 1,
					    .flags = flags };
	struct {
		struct stream_layout layout;
		struct vas_region_entry region;
	} all = {
		.layout = { .limit = size,
			    .ram_size = size,
			    .page_size = VAS_PAGE_SIZE,
			    .nr_regions = 1,
			    .name = "forged" },
		.region = { .size = size, .name = "ram" },
	};

	if (page_size != VAS_PAGE_SIZE) {
		all.layout.backings[1] = (struct stream_backing){ size, page_size, 0 };
		all.region.backing = 1;
	}
	forged_put(f, (struct stream_header){ .type = STREAM_HELLO, .length = sizeof(hello) },
		   &hello);
	forged_put(f, (struct stream_header){ .type = STREAM_LAYOUT, .length = sizeof(all) }, &all);
}

void forged_end(struct forged *f)
{
	forged_put(f, (struct stream_header){ .type = STREAM_STATE }, "");
	forged_put(
		f,
		(struct stream_header){ .type = STREAM_END, .gpa = f->sequence, .data = f->pages },
		"");
}

struct stream_header forged_take(int fd, void *payload, size_t room)
{
	static char dropped[STREAM_WORD_SIZE];
	struct stream_header header;

	CHECK_EQ(recv(fd, &header, sizeof(header), MSG_WAITALL), (ssize_t)sizeof(header));
	if (room > header.length)
		room = header.length;
	if (room)
		CHECK_EQ(recv(fd, payload, room, MSG_WAITALL), (ssize_t)room);
	CHECK(header.length - room <= sizeof(dropped));
	if (room < header.length)
		CHECK_EQ(recv(fd, dropped, header.length - room, MSG_WAITALL),
			 header.length - room);
	return header;
}
