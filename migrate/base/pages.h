/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pages of guest memory, out of it. */
#ifndef MIGRATE_PAGES_H
#define MIGRATE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <vas/vas.h>

struct pages {
	uint64_t data; /* which have bytes */
	uint64_t zero; /* which are zero; in neither: in no region any more */
	size_t size;   /* of the bytes */
};

bool page_is_zero(const char *page);

/* The word's pages with bytes into raw (256 KiB), one after the other. */
int pages_read(struct vas *vas, const struct vas_dirty_word *word, char *raw, struct pages *pages);

/*
 * Where they are, in at most 64 segments. The caller knows that nothing changes: the vas is frozen.
 */
struct pages_segments {
	struct iovec iov[64];
	int nr;
};

/* False: not all of them can be had so, and pages_read() must look. */
bool pages_find(struct vas *vas, const struct vas_dirty_word *word, struct pages *pages,
		struct pages_segments *segments);

#endif
