// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/stream/sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <vas/consumer.h>

#include "migrate/base/sum.h"

static const char zeros[VAS_PAGE_SIZE];

/* Never 0, which is none. */
static uint64_t sum_page(const struct sums *sums, const void *page)
{
	return XXH3_64bits_withSeed(page, VAS_PAGE_SIZE, sums->key) | 1;
}

static size_t suspects_size(const struct sums *sums)
{
	return (size_t)(sums->nr_pages / 64 + 1) * sizeof(*sums->suspects);
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
	sums->suspects = calloc(1, suspects_size(sums));
	sums->apart = calloc(1, suspects_size(sums));
	if (!sums->first || !sums->at || !sums->suspects || !sums->apart)
		return vas_error_set(-ENOMEM, "no memory for a sum of each page");
	return 0;
}

void sums_clean(struct sums *sums)
{
	free(sums->first);
	free(sums->at);
	free(sums->suspects);
	free(sums->apart);
}

/* Which it is among all of them; nr_pages: in no region. */
static uint64_t page_at(const struct sums *sums, uint64_t gpa)
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
			return sums->first[mid] + (gpa - region->gpa) / VAS_PAGE_SIZE;
	}
	return sums->nr_pages;
}

uint64_t sums_note(struct sums *sums, uint64_t gpa, const struct pages *pages,
		   const struct iovec *iov)
{
	uint64_t changed = 0;
	size_t at = 0;

	for (uint64_t bits = pages->data | pages->zero; bits; bits &= bits - 1) {
		const unsigned int i = (unsigned int)__builtin_ctzll(bits);
		const uint64_t page = page_at(sums, gpa + i * VAS_PAGE_SIZE);
		uint64_t now = sums->of_zeros;

		if (pages->data >> i & 1) {
			if (at == iov->iov_len) {
				iov++;
				at = 0;
			}
			now = sum_page(sums, (const char *)iov->iov_base + at);
			at += VAS_PAGE_SIZE;
		}
		if (page == sums->nr_pages || sums->at[page] == now)
			continue;
		sums->at[page] = now;
		changed |= 1ull << i;
	}
	return changed;
}

/* ---- which may be other ------------------------------------------------------------------- */

void sums_suspect(struct sums *sums, const struct vas_dirty_word *word, int is_suspect)
{
	for (uint64_t bits = word->bits; bits; bits &= bits - 1) {
		const uint64_t i = (uint64_t)__builtin_ctzll(bits);
		const uint64_t page = page_at(sums, word->gpa + i * VAS_PAGE_SIZE);
		const uint64_t bit = 1ull << page % 64;

		if (page == sums->nr_pages)
			continue;
		sums->apart[page / 64] &= ~bit;
		if (is_suspect)
			sums->suspects[page / 64] |= bit;
		else
			sums->suspects[page / 64] &= ~bit;
	}
}

/* From one list to the other. */
static void move_all(const struct sums *sums, uint64_t *from, uint64_t *to)
{
	for (uint64_t i = 0; i <= sums->nr_pages / 64; i++)
		to[i] |= from[i];
	memset(from, 0, suspects_size(sums));
}

void sums_set_apart(struct sums *sums)
{
	move_all(sums, sums->suspects, sums->apart);
}

void sums_trust_apart(struct sums *sums)
{
	memset(sums->apart, 0, suspects_size(sums));
}

/* What is listed: words by gpa, to `words` unless that is NULL. */
struct list {
	const struct sums *sums;
	size_t region; /* of the last page */
	struct vas_dirty_word *words;
	size_t nr;
	uint64_t last; /* word */
};

static void list_page(struct list *list, uint64_t page)
{
	const struct sums *sums = list->sums;
	uint64_t gpa, start;

	while (list->region + 1 < sums->nr_regions && page >= sums->first[list->region + 1])
		list->region++;
	gpa = sums->regions[list->region].gpa + (page - sums->first[list->region]) * VAS_PAGE_SIZE;
	start = gpa / STREAM_WORD_SIZE * STREAM_WORD_SIZE;
	if (!list->nr || list->last != start) {
		list->last = start;
		if (list->words)
			list->words[list->nr] = (struct vas_dirty_word){ .gpa = start };
		list->nr++;
	}
	if (list->words)
		list->words[list->nr - 1].bits |= 1ull << (gpa - start) / VAS_PAGE_SIZE;
}

static size_t list_suspects(const struct sums *sums, struct vas_dirty_word *words)
{
	struct list list = { .sums = sums, .words = words };

	for (uint64_t i = 0; i <= sums->nr_pages / 64; i++)
		for (uint64_t bits = sums->suspects[i]; bits; bits &= bits - 1)
			list_page(&list, i * 64 + (uint64_t)__builtin_ctzll(bits));
	return list.nr;
}

int sums_suspects(struct sums *sums, struct vas_dirty_word **words, size_t *nr)
{
	/* Nobody has found out. */
	move_all(sums, sums->apart, sums->suspects);
	*nr = list_suspects(sums, NULL);
	*words = malloc((*nr + 1) * sizeof(**words));
	if (!*words)
		return vas_error_set(-ENOMEM, "no memory for the list of pages");
	list_suspects(sums, *words);
	return 0;
}
