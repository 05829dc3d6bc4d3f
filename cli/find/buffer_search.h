/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Searching what libvas cannot: a range of guest-virtual addresses, which page tables put side by
 * side, or for a regular expression. By one thread, in a buffer.
 */
#ifndef CLI_BUFFER_SEARCH_H
#define CLI_BUFFER_SEARCH_H

#include "cli/find/regex.h"
#include "cli/target/regions.h"
#include "cli/target/virtual.h"

struct buffer_search {
	struct vas *vas;
	const struct virtual_space *space; /* NULL: addresses are gpas */
	const struct regions *regions;
	const struct vas_pattern *patterns;
	size_t nr_patterns;
	struct regex *regex; /* in place of the patterns, or NULL */
	uint64_t at;	     /* the range; if virtual, see virtual_range_check() */
	uint64_t end;
	/* As of struct search, with addresses of that kind; by the caller's thread. */
	int (*found)(void *context, uint64_t address, size_t pattern);
	void (*progress)(void *context, uint64_t done);
	void *context;

	struct extents extents;
	uint8_t *bytes; /* what is at [at - nr, at) */
	size_t nr;
	uint64_t next; /* no match begins before this address */
	uint64_t done;
};

/*
 * What is not mapped, or cannot be read, is left out, and no match goes across it; so is, of gpas,
 * what was never touched. The work is bounded by the range alone: a guest may map all of it. 0,
 * -ENOMEM, or -E2BIG: the expression needs too much work at `next` or behind it.
 */
int buffer_search_run(struct buffer_search *search);

#endif
