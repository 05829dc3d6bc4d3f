/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a dump looks like: which byte of guest memory is where in the file, and what is between. */
#ifndef CLI_IMAGE_H
#define CLI_IMAGE_H

#include "cli/dump/vmcoreinfo.h"
#include "cli/target/regions.h"

enum image_format {
	IMAGE_RAW,	   /* file offset = gpa */
	IMAGE_ELF,	   /* an ELF core file: a PT_LOAD a range, by physical address */
	IMAGE_ELF_HEADERS, /* the same without what is in the ranges */
	IMAGE_LIME,	   /* each range behind a header of its own */
};

/* Memory without a hole of the layout in it. */
struct image_range {
	uint64_t gpa;
	uint64_t size;
	uint64_t offset; /* of its bytes in the file */
};

#define IMAGE_MOST_HEADER 32 /* before a range */

struct image {
	enum image_format format;
	struct image_range *ranges; /* sorted by gpa, and so by offset */
	size_t nr_ranges;
	int has_memory;
	uint8_t *head; /* what the file begins with: head_size bytes, may be none */
	size_t head_size;
	uint64_t size; /* of the file */
};

/*
 * Plan the file for these regions. info (may be NULL) goes into an ELF file, and says for which
 * architecture it is; otherwise it is this host's. 0 or -errno: -EOVERFLOW, a file cannot be so
 * large. image_clean() is due in all cases.
 */
int image_plan(struct image *image, enum image_format format, const struct regions *regions,
	       const struct vmcoreinfo *info);
void image_clean(struct image *image);

/* What stands right before the bytes of a range: its length, may be 0. */
size_t image_header(const struct image *image, const struct image_range *range,
		    uint8_t header[IMAGE_MOST_HEADER]);

#endif
