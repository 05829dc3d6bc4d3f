/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The pages of a snapshot that is taken while the guest runs: each may be written again and again,
 * and what it was last is what counts. Sums are made at the end, from the file.
 */
#ifndef MIGRATE_LIVE_H
#define MIGRATE_LIVE_H

#include <stddef.h>
#include <stdint.h>

struct save;

/* One save_word(). */
struct live_word {
	uint64_t gpa;
	uint64_t order; /* a later one counts more */
	uint64_t told;	/* pages that were looked at */
	uint64_t data;	/* of those: with bytes, which are in the file */
	uint64_t zero;	/* of those: zero */
};

struct live {
	struct live_word *words;
	size_t nr;
	size_t room;
	uint64_t last;	/* order of the last one */
	size_t compact; /* so many are left of the first ones: one a gpa, in their order */
};

int live_note(struct save *save, const struct live_word *word);

/* The vas is frozen: what is other in the file, since nobody told of it, is written again. */
int live_compare(struct save *save);

/* All is in the file: the words of the snapshot, with their sums. */
int live_finish(struct save *save);
void live_clean(struct live *live);

#endif
