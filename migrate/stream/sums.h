/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A sum of each page as it was sent last, by which those are found that were written since, though
 * nobody said so. Its key is random and leaves this process never, so that no guest can make two
 * pages of one sum; by chance it is one pair in 2^63.
 */
#ifndef MIGRATE_SUMS_H
#define MIGRATE_SUMS_H

#include <sys/uio.h>
#include <vas/dirty.h>

#include "migrate/base/pages.h"

struct sums {
	const struct vas_region *regions; /* by gpa; the caller's */
	size_t nr_regions;
	uint64_t *first; /* of each region, in `at` */
	uint64_t *at;	 /* a page; 0: was not sent. Pages of a word are one thread's at a time. */
	uint64_t *suspects; /* a bit a page, in the order of `at`; one thread's */
	uint64_t *apart;    /* the same: those about which somebody tries to find out */
	uint64_t nr_pages;
	uint64_t key;
	uint64_t of_zeros;
};

int sums_init(struct sums *sums, const struct vas_region *regions, size_t nr);
void sums_clean(struct sums *sums);

/*
 * Pages that were looked at, those with bytes one after the other in iov: from here on their sums
 * are those. Returns which had others before.
 */
uint64_t sums_note(struct sums *sums, uint64_t gpa, const struct pages *pages,
		   const struct iovec *iov);

/* Pages that may be other than they were sent, or with 0, are not. */
void sums_suspect(struct sums *sums, const struct vas_dirty_word *word, int is_suspect);
/* Those up to now are set apart; and it turns out that they are not. */
void sums_set_apart(struct sums *sums);
void sums_trust_apart(struct sums *sums);

/* Those that may be, malloced. */
int sums_suspects(struct sums *sums, struct vas_dirty_word **words, size_t *nr);

#endif
