/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A snapshot's file as one short input:
 *
 *	mode		a byte, PARTS_*
 *	header		PARTS_HEADER bytes of it, and PARTS_NAME bytes of its parent's name
 *	layout_size	2 bytes; then so many of the layout
 *	nr_words	2 bytes; then so many struct snapshot_word
 *	data		the bytes of the regions, from the first on
 */
#ifndef TESTS_FUZZ_SNAPSHOT_PARTS_H
#define TESTS_FUZZ_SNAPSHOT_PARTS_H

#include <stddef.h>
#include <stdint.h>

#define PARTS_WAY	  3u  /* to restore */
#define PARTS_BAD_SUMS	  4u  /* as they are in the input */
#define PARTS_IS_PARENT	  8u  /* of an honest child; else it is the youngest */
#define PARTS_IS_SAVED_ON 16u /* another snapshot is made on it */
#define PARTS_BAD_PLACES  32u /* offsets and numbers of the header as they are in the input */

#define PARTS_HEADER 112u /* up to the parent's name */
#define PARTS_NAME   16u

/* Every byte of the ids of the honest parent, "base", and of the file that is fuzzed. */
#define PARTS_BASE_ID	 0x5a
#define PARTS_HOSTILE_ID 0x5b

/* Write the file that the input describes: 0, or -1 if it is none. */
int parts_write(const char *path, const uint8_t *input, size_t size);

/* The reverse, with PARTS_DATA bytes of data; its size. buf has room for 64 KiB. */
#define PARTS_DATA 64u
size_t parts_collect(const char *path, uint8_t mode, uint8_t *buf);

/* Another id for an honest snapshot, or, with a parent's name, another parent's. */
void parts_set_id(const char *path, uint8_t id, const char *parent);

#endif
