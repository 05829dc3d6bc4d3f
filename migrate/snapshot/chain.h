/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A snapshot and its parents, as the one state of memory that they add up to. A page is what the
 * youngest snapshot that knows it says; what none knows is zero.
 */
#ifndef MIGRATE_CHAIN_H
#define MIGRATE_CHAIN_H

#include <stdbool.h>
#include <sys/stat.h>
#include <vas/dirty.h>

#include "migrate/snapshot/image.h"

/* A word that an image knows. */
struct chain_entry {
	uint64_t gpa;
	uint32_t image;
	const struct snapshot_word *word;
};

struct chain {
	struct image *images; /* the youngest first */
	uint32_t nr;
	struct chain_entry *entries; /* sorted by gpa, then the youngest first */
	size_t nr_entries;
	char *raw; /* the bytes of one word */
};

/* Parents that are named by a path, elsewhere than in their child's folder, may be opened. */
#define CHAIN_ANY_FOLDER 1u

/*
 * -ENOENT: a parent is not there; -EPROTO: a parent is another snapshot than its child was made on,
 * or one is damaged; -EXDEV: a parent in another folder, and without CHAIN_ANY_FOLDER; -ELOOP: too
 * many, or one twice.
 */
int chain_open(struct chain *chain, const char *path, uint32_t flags);
void chain_close(struct chain *chain);

/* Is this file one of them? */
bool chain_has(const struct chain *chain, const struct stat *st);

/*
 * The next word, from entry *at on, of which any page is known: its pages with bytes. 0: no more.
 */
int chain_next(const struct chain *chain, size_t *at, struct vas_dirty_word *word);

/*
 * The pages of the word at gpa: page n, if it has bytes, goes to pages + n * 4096, and is set in
 * *data; the others are zero, and their place is left as it is. Sums are checked: -EPROTO.
 */
int chain_read(struct chain *chain, uint64_t gpa, char *pages, uint64_t *data);

#endif
