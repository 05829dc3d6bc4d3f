/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The bytes of a copy, on their way. What is in memory goes through the map. Of what is not, a map
 * costs a fault a page, and zeroing it first; and reading it allocates it. Who looks at much, or
 * writes much, goes there by the file: docs/design/translation.md, "Fresh memory".
 */
#ifndef VAS_LIB_COPY_H
#define VAS_LIB_COPY_H

#include "lib/access/resident.h"

struct copy {
	uint64_t gpa;
	char *buf;
	size_t len;
	size_t done;
	uint32_t prot;
	bool checked; /* by the kernel, which answers with an error where we would get a signal */
	struct resident *resident; /* NULL: through the map, wherever it is */
	uint64_t mended;	   /* what failed later than this is doubtful */
};

/*
 * In a section: the next len bytes, which are contiguous from hva on; with c->resident, in one
 * region. How many: fewer at a page that fails.
 */
size_t vas_copy_run(struct vas *vas, const struct copy *c, char *hva, size_t len);

#endif
