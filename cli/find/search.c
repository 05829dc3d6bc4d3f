// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The range is cut into chunks. A thread takes the next one, searches it, and whoever finds that
 * the first of the chunks handed out is searched reports it: so matches come in order, and no
 * thread waits for another, unless it has found so much that it must first get rid of it.
 */
#include "cli/find/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE (16ull << 20)
#define MOST_KEPT  8192 /* matches that a chunk keeps until its turn comes */
#define NOWHERE	   UINT64_MAX
#define MOST_AHEAD 64 /* chunks that are handed out and not yet reported */

struct match {
	uint64_t gpa;
	size_t pattern;
};

struct chunk {
	struct chunk *next;
	uint64_t start; /* matches begin in [start, stop) */
	uint64_t stop;
	uint64_t data; /* bytes in it that are there */
	int is_done;
	size_t nr_matches;
	struct match matches[MOST_KEPT];
};

/* Untouched memory is all zeros: only a pattern that zeros match can be in there. */
static int matches_zeros(const struct vas_pattern *pattern)
{
	const uint8_t *bytes = pattern->bytes, *mask = pattern->mask;

	for (size_t i = 0; i < pattern->len; i++)
		if (bytes[i] & (mask ? mask[i] : 0xff))
			return 0;
	return 1;
}

static int is_wanted(const struct search *search, const struct extent *extent)
{
	if (extent_has_data(extent->kind))
		return 1;
	for (size_t i = 0; extent->kind == EXTENT_EMPTY && i < search->nr_patterns; i++)
		if (matches_zeros(&search->patterns[i]))
			return 1;
	return 0;
}

/* A match may begin in untouched memory, if its first bytes are zeros, and end in other. */
static uint64_t first_start(const struct search *search, uint64_t gpa)
{
	uint64_t longest = 0;

	for (size_t i = 0; i < search->nr_patterns; i++)
		if (search->patterns[i].len - 1 > longest)
			longest = search->patterns[i].len - 1;
	gpa = gpa > longest ? gpa - longest : 0;
	return gpa > search->handed_out ? gpa : search->handed_out;
}

/* The next chunk's bounds: 1, or 0 at the end. What is not wanted costs nothing. */
static int next_bounds(struct search *search, struct chunk *chunk)
{
	struct extent extent;
	int is_begun = 0;

	while (extent_next(&search->extents, &extent)) {
		uint64_t end = extent.gpa + extent.len;

		if (!is_wanted(search, &extent))
			continue;
		if (!is_begun)
			chunk->start = first_start(search, extent.gpa);
		if (extent.gpa - chunk->start >= CHUNK_SIZE) {
			search->extents.gpa = extent.gpa;
			break;
		}
		is_begun = 1;
		if (end - chunk->start > CHUNK_SIZE)
			end = search->extents.gpa = chunk->start + CHUNK_SIZE;
		chunk->stop = end;
		if (extent_has_data(extent.kind))
			chunk->data += end - extent.gpa;
	}
	if (is_begun)
		search->handed_out = chunk->stop;
	return is_begun;
}

/* Called locked. Waits while others have got far ahead of the first: it is not the caller's. */
static struct chunk *take_chunk(struct search *search)
{
	struct chunk *chunk;

	while (search->nr_ahead >= MOST_AHEAD && !search->ends)
		pthread_cond_wait(&search->changed, &search->lock);
	if (search->ends)
		return NULL;
	chunk = malloc(sizeof(*chunk));
	if (!chunk) {
		search->err = -ENOMEM;
		search->ends = 1;
		return NULL;
	}
	memset(chunk, 0, offsetof(struct chunk, matches));
	if (!next_bounds(search, chunk)) {
		free(chunk);
		return NULL;
	}
	*search->last = chunk;
	search->last = &chunk->next;
	search->nr_ahead++;
	return chunk;
}

/* Called locked. */
static void report_matches(struct search *search, struct chunk *chunk)
{
	for (size_t i = 0; i < chunk->nr_matches && !search->ends; i++)
		if (search->found(search->context, chunk->matches[i].gpa,
				  chunk->matches[i].pattern))
			search->ends = 1;
	chunk->nr_matches = 0;
}

/* Called locked: report, in order, what is done. */
static void report_done(struct search *search)
{
	struct chunk *chunk;

	while ((chunk = search->first) && chunk->is_done) {
		report_matches(search, chunk);
		search->first = chunk->next;
		if (!search->first)
			search->last = &search->first;
		search->nr_ahead--;
		free(chunk);
	}
	search->progress(search->context, search->done);
	pthread_cond_broadcast(&search->changed);
}

/* 0, or 1 if the search ends. */
static int keep_match(struct search *search, struct chunk *chunk, uint64_t gpa, size_t pattern)
{
	int ends;

	chunk->matches[chunk->nr_matches++] = (struct match){ gpa, pattern };
	if (chunk->nr_matches < MOST_KEPT)
		return 0;
	/* Full: once it is this chunk's turn, there is no need to keep anything. */
	pthread_mutex_lock(&search->lock);
	while (search->first != chunk && !search->ends)
		pthread_cond_wait(&search->changed, &search->lock);
	report_matches(search, chunk);
	ends = search->ends;
	pthread_mutex_unlock(&search->lock);
	return ends;
}

/* The first match of one pattern that begins in [gpa, chunk->stop), or NOWHERE. */
static int search_from(struct search *search, const struct chunk *chunk, uint64_t gpa,
		       size_t pattern, uint64_t *found)
{
	const struct vas_pattern *p = &search->patterns[pattern];
	uint64_t end = chunk->stop + p->len - 1;
	int err = -ENOENT;

	end = end < search->end ? end : search->end;
	if (gpa < end)
		err = vas_search(search->vas, gpa, end - gpa, p, found);
	if (err)
		*found = NOWHERE;
	return err == -ENOENT ? 0 : err;
}

static int search_chunk(struct search *search, struct chunk *chunk, uint64_t *next)
{
	int err = 0;

	for (size_t i = 0; !err && i < search->nr_patterns; i++)
		err = search_from(search, chunk, chunk->start, i, &next[i]);
	while (!err) {
		size_t first = 0;

		for (size_t i = 1; i < search->nr_patterns; i++)
			if (next[i] < next[first])
				first = i;
		if (next[first] == NOWHERE || keep_match(search, chunk, next[first], first))
			break;
		err = search_from(search, chunk, next[first] + 1, first, &next[first]);
	}
	return err;
}

static void *worker(void *context)
{
	struct search *search = context;
	uint64_t *next = calloc(search->nr_patterns, sizeof(*next));
	struct chunk *chunk;
	int err = next ? 0 : -ENOMEM;

	pthread_mutex_lock(&search->lock);
	while (!err && (chunk = take_chunk(search))) {
		pthread_mutex_unlock(&search->lock);
		err = search_chunk(search, chunk, next);
		pthread_mutex_lock(&search->lock);
		chunk->is_done = 1;
		search->done += chunk->data;
		report_done(search);
	}
	if (err) {
		search->err = err;
		search->ends = 1;
		pthread_cond_broadcast(&search->changed);
	}
	pthread_mutex_unlock(&search->lock);
	free(next);
	return NULL;
}

/* After an error, chunks may be left that nobody reports. */
static void free_chunks(struct search *search)
{
	struct chunk *next;

	for (struct chunk *chunk = search->first; chunk; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
}

int search_run(struct search *search)
{
	pthread_t *threads = calloc((size_t)search->nr_threads, sizeof(*threads));
	int nr = 0;

	if (!threads)
		return -ENOMEM;
	pthread_mutex_init(&search->lock, NULL);
	pthread_cond_init(&search->changed, NULL);
	search->last = &search->first;
	search->handed_out = search->gpa;
	search->extents = (struct extents){ .vas = search->vas,
					    .regions = search->regions,
					    .gpa = search->gpa,
					    .end = search->end };
	/* With fewer threads than requested, even with none but this one, it works as well. */
	while (nr < search->nr_threads - 1 &&
	       pthread_create(&threads[nr], NULL, worker, search) == 0)
		nr++;
	worker(search);
	while (nr > 0)
		pthread_join(threads[--nr], NULL);
	free(threads);
	free_chunks(search);
	pthread_cond_destroy(&search->changed);
	pthread_mutex_destroy(&search->lock);
	return search->err;
}
