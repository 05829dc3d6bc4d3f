/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A snapshot's file, little endian:
 *
 *	header			4096 bytes
 *	layout			struct stream_layout, struct vas_region_entry[]
 *	data			each region's bytes, whole, in the order of the layout; sparse
 *	words			which pages are here, and their sums
 *	state			what the saver has beside memory, if anything
 *	devices			those on the bus, as vas_devices_save() has them, if any
 *
 * Data are page aligned, so that a region can be mapped where it lies.
 */
#ifndef MIGRATE_SNAPSHOT_H
#define MIGRATE_SNAPSHOT_H

#include "migrate/base/stream.h"

#define SNAPSHOT_MAGIC	     0x0a0d1a70616e7376ull /* "vsnap", then what a text transfer mangles */
#define SNAPSHOT_VERSION     1u
#define SNAPSHOT_MAX_PARENTS 64

struct snapshot_header {
	uint64_t magic;
	uint32_t version;
	uint32_t pad;
	uint8_t id[16];
	uint8_t parent_id[16]; /* zeros: none */
	uint8_t vas[16];       /* uuid of the vas that it was made of */
	uint64_t layout_size;
	uint64_t data_offset;
	uint64_t words_offset;
	uint64_t nr_words;
	uint64_t layout_sum; /* XXH3 of the layout, seeded with the first half of the id */
	uint64_t words_sum;
	char parent[2048];   /* path, from the snapshot's own folder if it does not begin with / */
	uint64_t state_size; /* it lies behind the words; 0: there is none */
	uint64_t state_sum;
	uint64_t devices_size;
	uint64_t devices_sum;
	uint8_t pad1[4096 - 2048 - 152];
	uint64_t header_sum; /* of all before it */
};
_Static_assert(sizeof(struct snapshot_header) == 4096, "a header is a page");

#define SNAPSHOT_MAX_LAYOUT \
	(sizeof(struct stream_layout) + VAS_MAX_REGIONS * sizeof(struct vas_region_entry))

/* Pages of a word: those with bytes, in `data`, are summed one after the other, as in a stream. */
struct snapshot_word {
	uint64_t gpa;
	uint64_t data;
	uint64_t zero;
	uint64_t sum;
};

static inline uint64_t snapshot_data_offset(uint64_t layout_size)
{
	return (sizeof(struct snapshot_header) + layout_size + VAS_PAGE_SIZE - 1) &
	       ~(VAS_PAGE_SIZE - 1);
}

#endif
