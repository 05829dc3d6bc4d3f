/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The stream's bytes: vas-stream(5). Little endian. Each channel is a row of chunks, each a header
 * and `length` bytes of payload:
 *
 *	channel 0:  HELLO LAYOUT [DESCRIPTION] WORD... [DEVICES] STATE END
 *	channel n:  HELLO WORD... END
 *	and back, on channel 0 of a socket:  WAIT... READY (the layout is made) DONE, or less
 *
 * ALIVE may stand between any two chunks of the way there that follow HELLO, or on channel 0 LAYOUT
 * and DESCRIPTION.
 *
 * A page always goes over the same channel (stream_channel_of()), so that channels need no order
 * among each other.
 */
#ifndef MIGRATE_STREAM_H
#define MIGRATE_STREAM_H

#include <stdint.h>
#include <vas/format.h>

#define STREAM_MAGIC   0x53534156u /* "VASS" */
#define STREAM_VERSION 1u

#define STREAM_WORD_SIZE       (VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE)
#define STREAM_SUM_BLOCK       4096u
#define STREAM_MAX_STATE       (256u << 20)
#define STREAM_MAX_DESCRIPTION (16u << 20)
#define STREAM_MAX_DEVICES     (VAS_MAX_DEVICES * VAS_DEVICE_SIZE)

/* Of a region: for each, a destination that populates sends one WAIT. */
#define STREAM_SEGMENT (1ull << 30)

enum stream_type {
	STREAM_HELLO = 1,
	STREAM_LAYOUT,
	STREAM_WORD, /* pages of one word of gpa */
	STREAM_STATE,
	STREAM_END,
	STREAM_READY,
	STREAM_DONE,
	STREAM_ABORT,
	STREAM_WAIT,	    /* the next segment of memory is there */
	STREAM_ALIVE,	    /* nothing to send just now */
	STREAM_DEVICES,	    /* of the bus, as vas_devices_save() has them; none if there are none */
	STREAM_DESCRIPTION, /* behind LAYOUT if HELLO says so: of the guest, before it comes */
};

/* stream_header.flags: how the payload of a word is packed. */
#define STREAM_LZ4  1u
#define STREAM_ZSTD 2u

struct stream_header {
	uint32_t magic;
	uint16_t type;
	uint16_t flags;
	uint64_t sequence; /* of the channel, from 0, by one */
	uint32_t round;
	uint32_t length;
	uint64_t gpa;  /* WORD: of bit 0; END: chunks before it */
	uint64_t data; /* WORD: pages whose bytes are the payload; END: pages in all */
	uint64_t zero; /* WORD: pages that are zero now */
	/* From the channel's key, each block: XXH3(XXH3(block), seed: sum so far). */
	uint64_t payload_sum;
	uint64_t header_sum; /* XXH3 of the header up to here, seeded with the key */
};
_Static_assert(sizeof(struct stream_header) == 64, "a header is 64 bytes");

struct stream_hello {
	uint32_t version;
	uint32_t channel;
	uint32_t nr_channels;
	uint32_t flags;	     /* STREAM_ONE_WAY, STREAM_DESCRIBED */
	uint8_t session[16]; /* random; the same on all channels of one stream, never again */
};
#define STREAM_ONE_WAY	 1u
#define STREAM_DESCRIBED 2u

struct stream_backing {
	uint64_t size; /* 0: not in use */
	uint32_t page_size;
	uint32_t pad;
};

/*
 * Then backings[VAS_MAX_BACKINGS], of which 0 is not used, and nr_regions struct vas_region_entry.
 */
struct stream_layout {
	uint64_t limit;
	uint64_t ram_size;
	uint32_t page_size;
	uint32_t nr_regions;
	char name[VAS_NAME_LEN];
	struct stream_backing backings[VAS_MAX_BACKINGS];
};

/* 2 MiB of gpa at a time, so that channels share what is dense and what is not. */
static inline uint32_t stream_channel_of(uint64_t gpa, uint32_t nr_channels)
{
	return (uint32_t)((gpa >> 21) % nr_channels);
}

#endif
