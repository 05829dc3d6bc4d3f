/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* One snapshot's file, opened and checked: its layout, its list of pages, and their bytes. */
#ifndef MIGRATE_IMAGE_H
#define MIGRATE_IMAGE_H

#include <vas/handle.h>

#include "migrate/snapshot/file.h"

struct image {
	int fd;
	struct snapshot_header header;
	struct stream_layout *layout;
	struct snapshot_word *words;
	uint64_t *offsets; /* where each region's bytes are in the file */
	void *devices;	   /* header.devices_size bytes */
};

static inline const struct vas_region_entry *image_regions(const struct image *image)
{
	return (const struct vas_region_entry *)(image->layout + 1);
}

/* -ENOENT and so on from open(); -EPROTO: damaged, or no snapshot. flags: as snapshot_open(). */
int image_open(struct image *image, const char *path, int flags);
void image_close(struct image *image);

/* Into a vas that was made of it, and has none yet. */
int image_load_devices(const struct image *image, struct vas *vas);

/* The region that holds gpa, or NULL. */
const struct vas_region_entry *image_region_at(const struct image *image, uint64_t gpa);

/* Of these pages of a word, those in its regions: others only a parent's layout has. */
uint64_t image_pages(const struct image *image, uint64_t gpa, uint64_t bits);

/* The bytes of word->data, one page after the other, into raw (256 KiB), if their sum is right. */
int image_read(const struct image *image, const struct snapshot_word *word, char *raw);

#endif
