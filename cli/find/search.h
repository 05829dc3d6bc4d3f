/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Searching a vas with one thread a core, and telling what is found in order of its gpa. */
#ifndef CLI_SEARCH_H
#define CLI_SEARCH_H

#include <pthread.h>

#include "cli/target/regions.h"

struct search {
	/* The caller sets these, and zeroes the rest. */
	struct vas *vas;
	const struct regions *regions;
	const struct vas_pattern *patterns;
	size_t nr_patterns;
	uint64_t gpa; /* the range */
	uint64_t end;
	int nr_threads;
	/*
	 * Called with the lock held, so by one thread at a time: for each match, in order; and now
	 * and then with what has been done of the work, in bytes of memory that is there. Other
	 * than 0 ends the search.
	 */
	int (*found)(void *context, uint64_t gpa, size_t pattern);
	void (*progress)(void *context, uint64_t done);
	void *context;

	pthread_mutex_t lock;	/* of everything below */
	pthread_cond_t changed; /* a chunk was reported */
	struct extents extents; /* what is not handed out yet */
	uint64_t handed_out;	/* up to here */
	struct chunk *first;	/* of those handed out and not reported: in order */
	struct chunk **last;
	size_t nr_ahead; /* how many these are */
	uint64_t done;
	int ends;
	int err;
};

/* 0, or -errno: then vas_error() tells more, unless it is -ENOMEM. */
int search_run(struct search *search);

#endif
