// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Memory is copied side by side until the buffer is full or what comes next cannot be had. The
 * places of which not enough can be seen, because the buffer ends, are kept for the next one, with
 * what an expression may look back at.
 */
#include "cli/find/buffer_search.h"

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

/* Bytes that must be seen from a place on to say that nothing begins there. */
static size_t longest(const struct buffer_search *search)
{
	size_t most = search->regex ? REGEX_MOST : 0;

	for (size_t i = 0; i < search->nr_patterns; i++)
		if (search->patterns[i].len > most)
			most = search->patterns[i].len;
	return most;
}

/* Places bytes[from] to bytes[to - 1]. Other than 0 ends the search. */
static int look_for_patterns(struct buffer_search *search, size_t from, size_t to)
{
	const uint64_t start = search->at - search->nr;
	int ends = 0;

	for (size_t at = from; at < to && !ends; at++)
		for (size_t i = 0; i < search->nr_patterns && !ends; i++)
			if (search->patterns[i].len <= search->nr - at &&
			    matches(&search->patterns[i], search->bytes + at))
				ends = search->found(search->context, start + at, i);
	return ends;
}

static int look_for_regex(struct buffer_search *search, size_t from, size_t to)
{
	const uint64_t start = search->at - search->nr;
	size_t match, end;
	int err = 0;

	while (!err && from < to) {
		err = regex_match(search->regex, search->bytes, search->nr, from, &match, &end);
		if (err <= 0 || match >= to)
			return err < 0 ? err : 0;
		err = search->found(search->context, start + match, 0);
		from = end > match ? end : match + 1;
		search->next = start + from;
	}
	return err;
}

/* Look at what is in the buffer but the last `kept` places, which go to its begin. */
static int look(struct buffer_search *search, size_t kept)
{
	const uint64_t start = search->at - search->nr;
	const size_t to = search->nr > kept ? search->nr - kept : 0;
	size_t from = search->next > start ? (size_t)(search->next - start) : 0, drop;
	int ends = search->regex ? look_for_regex(search, from, to) :
				   look_for_patterns(search, from, to);

	if (search->next < start + to)
		search->next = start + to;
	drop = (size_t)(search->next - start);
	drop = drop < search->nr ? drop : search->nr;
	drop = !kept ? search->nr : drop > REGEX_BEHIND ? drop - REGEX_BEHIND : 0;
	memmove(search->bytes, search->bytes + drop, search->nr - drop);
	search->nr -= drop;
	search->progress(search->context, search->done);
	return ends;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static size_t copy(struct buffer_search *search, uint64_t gpa, uint64_t len)
{
	return vas_peek(search->vas, gpa, search->bytes + search->nr, len, NULL) ? 0 : (size_t)len;
}

/* The next bytes into the buffer: how many, or 0 if the *gap bytes from `at` on cannot be had. */
static size_t fetch_virtual(struct buffer_search *search, uint64_t room, uint64_t *gap)
{
	struct page_walk_result page;
	int err = virtual_walk(search->space, search->vas, search->at, &page);
	size_t nr;

	*gap = page.size - search->at % page.size;
	if (err)
		return 0;
	nr = copy(search, page.gpa, least(*gap, room));
	if (nr)
		return nr;
	/* Not all of a large page: page by page, then. */
	*gap = VAS_PAGE_SIZE - search->at % VAS_PAGE_SIZE;
	return copy(search, page.gpa, least(*gap, room));
}

static size_t fetch_physical(struct buffer_search *search, uint64_t room, uint64_t *gap)
{
	struct extent extent;
	size_t nr;

	*gap = search->end - search->at;
	search->extents.gpa = search->at;
	if (!extent_next(&search->extents, &extent))
		return 0;
	*gap = extent.len;
	if (!extent_has_data(extent.kind))
		return 0;
	nr = copy(search, search->at, least(*gap, room));
	if (nr)
		return nr;
	*gap = VAS_PAGE_SIZE - search->at % VAS_PAGE_SIZE;
	return copy(search, search->at, least(*gap, room));
}

static int search_range(struct buffer_search *search)
{
	const size_t kept = longest(search) - 1;
	int ends = 0;

	while (!ends && search->at < search->end) {
		const uint64_t left = search->end - search->at;
		const uint64_t room = least(BUFFER_SIZE - search->nr, left);
		uint64_t gap;
		size_t nr = search->space ? fetch_virtual(search, room, &gap) :
					    fetch_physical(search, room, &gap);

		search->nr += nr;
		search->done += nr;
		search->at += nr;
		if (nr && search->nr == BUFFER_SIZE)
			ends = look(search, kept);
		if (nr)
			continue;
		ends = look(search, 0);
		search->at += least(gap, left);
	}
	return ends ? ends : look(search, 0);
}

int buffer_search_run(struct buffer_search *search)
{
	int ends;

	search->extents = (struct extents){ .vas = search->vas,
					    .regions = search->regions,
					    .gpa = search->at,
					    .end = search->end };
	search->next = search->at;
	search->bytes = malloc(BUFFER_SIZE);
	if (!search->bytes)
		return -ENOMEM;
	ends = search_range(search);
	free(search->bytes);
	return ends < 0 ? ends : 0;
}
