// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Pages are copied side by side until a buffer is full or the next one is not mapped. What could be
 * the begin of a match that goes on behind the buffer is kept for the next one.
 */
#include "cli/find/virtual_search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_SIZE (1u << 20)

static int matches(const struct vas_pattern *pattern, const uint8_t *at)
{
	const uint8_t *bytes = pattern->bytes, *mask = pattern->mask;

	for (size_t i = 0; i < pattern->len; i++)
		if ((at[i] ^ bytes[i]) & (mask ? mask[i] : 0xff))
			return 0;
	return 1;
}

static size_t longest(const struct virtual_search *search)
{
	size_t most = 0;

	for (size_t i = 0; i < search->nr_patterns; i++)
		if (search->patterns[i].len > most)
			most = search->patterns[i].len;
	return most;
}

/* Look at what is in the buffer, and keep `kept` bytes, in which no match begins yet. */
static int look(struct virtual_search *search, size_t kept)
{
	const uint64_t start = search->va - search->nr;
	size_t at, nr = search->nr > kept ? search->nr - kept : 0;
	int ends = 0;

	for (at = 0; at < nr && !ends; at++)
		for (size_t i = 0; i < search->nr_patterns && !ends; i++)
			if (search->patterns[i].len <= search->nr - at &&
			    matches(&search->patterns[i], search->bytes + at))
				ends = search->found(search->context, start + at, i);
	memmove(search->bytes, search->bytes + nr, search->nr - nr);
	search->nr -= nr;
	search->progress(search->context, search->done);
	return ends;
}

/* The next bytes into the buffer: how many, or 0 if there are none in the *gap bytes from va on. */
static size_t fetch(struct virtual_search *search, uint64_t *gap)
{
	const uint64_t va = search->va;
	struct page_walk_result page;
	int err = virtual_walk(search->space, search->vas, va, &page);
	uint64_t nr;

	*gap = page.size - va % page.size;
	if (err)
		return 0;
	nr = *gap < search->end - va ? *gap : search->end - va;
	nr = nr < BUFFER_SIZE - search->nr ? nr : BUFFER_SIZE - search->nr;
	*gap = VAS_PAGE_SIZE - va % VAS_PAGE_SIZE;
	if (vas_peek(search->vas, page.gpa, search->bytes + search->nr, nr, NULL) == 0)
		return (size_t)nr;
	/* Not all of a large page: page by page, then. */
	nr = nr < *gap ? nr : *gap;
	return vas_peek(search->vas, page.gpa, search->bytes + search->nr, nr, NULL) ? 0 :
										       (size_t)nr;
}

int virtual_search_run(struct virtual_search *search)
{
	const size_t kept = longest(search) - 1;
	int ends = 0;

	search->bytes = malloc(BUFFER_SIZE);
	if (!search->bytes)
		return -ENOMEM;
	while (!ends && search->va < search->end) {
		uint64_t gap;
		size_t nr = fetch(search, &gap);

		search->nr += nr;
		search->done += nr;
		search->va += nr;
		if (!nr) {
			ends = look(search, 0);
			gap = gap < search->end - search->va ? gap : search->end - search->va;
			search->va += gap;
		} else if (search->nr == BUFFER_SIZE) {
			ends = look(search, kept);
		}
	}
	if (!ends)
		look(search, 0);
	free(search->bytes);
	return 0;
}
