/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Searching a range of guest-virtual addresses: what the page tables put side by side. */
#ifndef CLI_VIRTUAL_SEARCH_H
#define CLI_VIRTUAL_SEARCH_H

#include "cli/target/virtual.h"

struct virtual_search {
	struct vas *vas;
	const struct virtual_space *space;
	const struct vas_pattern *patterns;
	size_t nr_patterns;
	uint64_t va; /* the range: see virtual_range_check() */
	uint64_t end;
	/* As of struct search, with virtual addresses; by the caller's thread. */
	int (*found)(void *context, uint64_t va, size_t pattern);
	void (*progress)(void *context, uint64_t done);
	void *context;

	uint8_t *bytes; /* what is mapped at [va - nr, va) */
	size_t nr;
	uint64_t done;
};

/*
 * What is not mapped, or whose tables or memory cannot be read, is left out, and no match goes
 * across it. The work is bounded by the range alone: a guest may map all of it. Memory that was
 * never touched stays so. 0 or -ENOMEM.
 */
int virtual_search_run(struct virtual_search *search);

#endif
