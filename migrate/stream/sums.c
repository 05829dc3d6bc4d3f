// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/stream/sums.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <vas/consumer.h>

#include "migrate/base/sum.h"

static const char zeros[VAS_PAGE_SIZE];

/* Never 0, which is none. */
static uint64_t sum_page(const struct sums *sums, const void *page)
{
	return XXH3_64bits_withSeed(page, VAS_PAGE_SIZE, sums->key) | 1;
}

int sums_init(struct sums *sums, const struct vas_region *regions, size_t nr)
{
	size_t i;

	*sums = (struct sums){ .regions = regions, .nr_regions = nr };
	if (getrandom(&sums->key, sizeof(sums->key), 0) != sizeof(sums->key))
		return vas_error_set(-EIO, "no random bytes for a key");
	sums->of_zeros = sum_page(sums, zeros);
	sums->first = calloc(nr + 1, sizeof(*sums->first));
	for (i = 0; sums->first && i < nr; i++) {
		sums->first[i] = sums->nr_pages;
		sums->nr_pages += regions[i].size / VAS_PAGE_SIZE;
	}
	/* Of pages that are never sent it takes no memory. */
	sums->at = calloc(sums->nr_pages + 1, sizeof(*sums->at));
	if (!sums->first || !sums->at)
		return vas_error_set(-ENOMEM, "no memory for a sum of each page");
	return 0;
}

void sums_clean(struct sums *sums)
{
	free(sums->first);
	free(sums->at);
}

/* NULL: in no region. */
static uint64_t *sum_at(const struct sums *sums, uint64_t gpa)
{
	size_t low = 0, high = sums->nr_regions;

	while (low < high) {
		const size_t mid = low + (high - low) / 2;
		const struct vas_region *region = &sums->regions[mid];

		if (gpa < region->gpa)
			high = mid;
		else if (gpa - region->gpa >= region->size)
			low = mid + 1;
		else
			return &sums->at[sums->first[mid] + (gpa - region->gpa) / VAS_PAGE_SIZE];
	}
	return NULL;
}

uint64_t sums_note(struct sums *sums, uint64_t gpa, const struct pages *pages,
		   const struct iovec *iov)
{
	uint64_t changed = 0;
	size_t at = 0;

	for (uint64_t bits = pages->data | pages->zero; bits; bits &= bits - 1) {
		const unsigned int i = (unsigned int)__builtin_ctzll(bits);
		uint64_t *sum = sum_at(sums, gpa + i * VAS_PAGE_SIZE), now = sums->of_zeros;

		if (pages->data >> i & 1) {
			if (at == iov->iov_len) {
				iov++;
				at = 0;
			}
			now = sum_page(sums, (const char *)iov->iov_base + at);
			at += VAS_PAGE_SIZE;
		}
		if (!sum || *sum == now)
			continue;
		*sum = now;
		changed |= 1ull << i;
	}
	return changed;
}

/* The word of region i that begins at or before gpa. */
static struct vas_dirty_word word_of(const struct sums *sums, size_t i, uint64_t gpa)
{
	const struct vas_region *region = &sums->regions[i];
	struct vas_dirty_word word = { .gpa = gpa / STREAM_WORD_SIZE * STREAM_WORD_SIZE };

	for (; gpa - word.gpa < STREAM_WORD_SIZE && gpa - region->gpa < region->size;
	     gpa += VAS_PAGE_SIZE)
		if (sums->at[sums->first[i] + (gpa - region->gpa) / VAS_PAGE_SIZE])
			word.bits |= 1ull << (gpa - word.gpa) / VAS_PAGE_SIZE;
	return word;
}

/* How many words there are in all, which go to `words` unless that is NULL. */
static size_t list_words(const struct sums *sums, struct vas_dirty_word *words)
{
	size_t i, nr = 0;

	for (i = 0; i < sums->nr_regions; i++) {
		const struct vas_region *region = &sums->regions[i];
		uint64_t gpa = region->gpa;

		while (gpa - region->gpa < region->size) {
			const struct vas_dirty_word word = word_of(sums, i, gpa);

			if (words && word.bits)
				words[nr] = word;
			nr += word.bits != 0;
			gpa = word.gpa + STREAM_WORD_SIZE;
		}
	}
	return nr;
}

int sums_words(const struct sums *sums, struct vas_dirty_word **words, size_t *nr)
{
	*nr = list_words(sums, NULL);
	*words = malloc((*nr + 1) * sizeof(**words));
	if (!*words)
		return vas_error_set(-ENOMEM, "no memory for the list of pages");
	list_words(sums, *words);
	return 0;
}
