/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A small vas with something of everything in it, and the view that a hostile peer has of it: a
 * writable map of the whole control area.
 */
#ifndef TESTS_HOSTILE_VICTIM_H
#define TESTS_HOSTILE_VICTIM_H

#include <vas/access.h>
#include <vas/event.h>
#include <vas/vas.h>

#include "tests/harness.h"

#define VICTIM_PAGES 64u /* limit, in pages */

struct victim {
	struct vas *owner;
	int backing_fd;
	uint64_t region_id; /* of the first */
	struct vas_mapping *mapping;
	size_t control_size;
	char *control;
	uint64_t ram_size;
	struct vas_superblock *sb;
	struct vas_control *ctl;
};

void victim_make(struct victim *v);
void victim_free(struct victim *v);

/* Where part `id` is, by the superblock as it was made. */
void *victim_extent(const struct victim *v, enum vas_extent_id id);

/* The state and table that hold now, and what comes next if the peer publishes it. */
struct vas_state *victim_state(const struct victim *v);
struct vas_region_entry *victim_table(const struct victim *v);
/* Publish the present state and table once more, so that every binder reads them again. */
void victim_republish(const struct victim *v);

/*
 * Bind to fd, do everything that can be done with a handle, unbind. The errors of a bind to a bad
 * file are few; what follows may fail in any clean way, but in bounded time. The result of the bind.
 */
int victim_try_bind(int fd, uint32_t flags);
/* Everything that can be done with a handle. Results are checked for sanity only. */
void victim_exercise(struct vas *vas);
/* What the owner must still be able to do, or refuse cleanly. */
void victim_exercise_owner(struct victim *v);

#endif
