// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <errno.h>
#include <stdlib.h>

#include "trail.h"

#define PAGE	       4096ULL
#define WORDS_PER_PAGE (PAGE / sizeof(uint64_t))

/*
 * The i-th word on the page that a region gives to trails. Which page, and where the words on it
 * begin, is random: equal distances would make the words of all regions share a few sets of the
 * caches.
 */
static uint64_t word_gpa(const struct guest_region *region, uint64_t i)
{
	uint64_t state = region->gpa;
	uint64_t random = guest_random(&state);
	uint64_t page = random % (region->size / PAGE);
	uint64_t word = ((random >> 32) + i) % WORDS_PER_PAGE;

	return region->gpa + page * PAGE + word * sizeof(uint64_t);
}

/* Evenly over the regions, whichever there are more of. */
static uint64_t nth_word(const struct trail *trail, const struct guest_region *regions, uint64_t nr,
			 uint64_t i)
{
	if (nr > trail->nr)
		return word_gpa(&regions[i * nr / trail->nr], 0);
	return word_gpa(&regions[i % nr], i / nr);
}

static void shuffle(uint64_t *values, uint64_t nr)
{
	uint64_t state = nr;

	for (uint64_t i = nr - 1; i > 0; i--) {
		uint64_t j = guest_random(&state) % (i + 1);
		uint64_t value = values[i];

		values[i] = values[j];
		values[j] = value;
	}
}

int trail_create(struct trail *trail, const struct guest *guest, unsigned int first,
		 unsigned int nr)
{
	trail->nr = TRAIL_MIN;
	while (trail->nr < nr && trail->nr < TRAIL_MAX)
		trail->nr *= 2;
	trail->gpas = calloc(trail->nr, sizeof(*trail->gpas));
	if (!trail->gpas)
		return -ENOMEM;
	for (uint64_t i = 0; i < trail->nr; i++)
		trail->gpas[i] = nth_word(trail, &guest->regions[first], nr, i);
	shuffle(trail->gpas, trail->nr);
	for (uint64_t i = 0; i < trail->nr; i++) {
		uint64_t *word = (uint64_t *)(guest->flat + trail->gpas[i]);

		*word = trail->gpas[(i + 1) % trail->nr];
	}
	return 0;
}

void trail_destroy(struct trail *trail)
{
	free(trail->gpas);
}
