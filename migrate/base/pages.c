// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/base/pages.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <vas/access.h>

#include "migrate/base/bits.h"

/* Mostly the first few bytes decide. */
bool page_is_zero(const char *page)
{
	const uint64_t *p = (const uint64_t *)page;
	size_t i, j;

	for (i = 0; i < VAS_PAGE_SIZE / sizeof(*p); i += 32) {
		uint64_t any = 0;

		for (j = 0; j < 32; j++)
			any |= p[i + j];
		if (any)
			return false;
	}
	return true;
}

/* nr pages that were read behind those in raw: zeros go, the others close up. */
static void sift(struct pages *pages, char *raw, unsigned int first, unsigned int nr)
{
	const char *from = raw + pages->size;
	unsigned int i;

	for (i = first; i < first + nr; i++, from += VAS_PAGE_SIZE) {
		if (page_is_zero(from)) {
			pages->zero |= 1ull << i;
			continue;
		}
		if (from != raw + pages->size)
			memmove(raw + pages->size, from, VAS_PAGE_SIZE);
		pages->data |= 1ull << i;
		pages->size += VAS_PAGE_SIZE;
	}
}

int pages_read(struct vas *vas, const struct vas_dirty_word *word, char *raw, struct pages *pages)
{
	uint64_t bits = word->bits;

	*pages = (struct pages){ 0 };
	while (bits) {
		unsigned int first = (unsigned int)__builtin_ctzll(bits), nr = run_of(bits);
		size_t done;
		int err = vas_peek(vas, word->gpa + first * VAS_PAGE_SIZE, raw + pages->size,
				   nr * VAS_PAGE_SIZE, &done);

		if (err && err != -EFAULT)
			return err;
		/* A page that is in no region any more is left out. */
		if (err)
			nr = (unsigned int)(done / VAS_PAGE_SIZE);
		sift(pages, raw, first, nr);
		bits &= ~mask_of(first, err ? nr + 1 : nr);
	}
	return 0;
}

/*
 * A page's first look is a miss that no prefetcher foresees: they stop at the ends of pages. The
 * page after the next is asked for by the time it is needed; if it is none, that is no fault.
 */
static void foresee(const char *page)
{
	const char *ahead = page + 2 * VAS_PAGE_SIZE;
	int i;

	for (i = 0; i < 4; i++)
		__builtin_prefetch(ahead + i * 64);
}

/* To touch what is not in memory would allocate it. */
static bool is_in_memory(char *pages, unsigned int nr)
{
	unsigned char there[64];
	unsigned int i;

	if (mincore(pages, nr * VAS_PAGE_SIZE, there))
		return false;
	for (i = 0; i < nr && there[i] & 1; i++)
		;
	return i == nr;
}

static void add_segment(struct pages_segments *segments, char *page)
{
	struct iovec *last = segments->nr ? &segments->iov[segments->nr - 1] : NULL;

	if (last && (char *)last->iov_base + last->iov_len == page)
		last->iov_len += VAS_PAGE_SIZE;
	else
		segments->iov[segments->nr++] = (struct iovec){ page, VAS_PAGE_SIZE };
}

static void find_run(char *page, unsigned int first, unsigned int nr, struct pages *pages,
		     struct pages_segments *segments)
{
	unsigned int i;

	for (i = first; i < first + nr; i++, page += VAS_PAGE_SIZE) {
		foresee(page);
		if (page_is_zero(page)) {
			pages->zero |= 1ull << i;
		} else {
			pages->data |= 1ull << i;
			pages->size += VAS_PAGE_SIZE;
			add_segment(segments, page);
		}
	}
}

static bool find_pages(struct vas *vas, const struct vas_dirty_word *word, struct pages *pages,
		       struct pages_segments *segments)
{
	uint64_t bits = word->bits;

	while (bits) {
		unsigned int first = (unsigned int)__builtin_ctzll(bits), nr = run_of(bits);
		char *page = vas_translate(vas, word->gpa + first * VAS_PAGE_SIZE,
					   nr * VAS_PAGE_SIZE, VAS_PROT_READ);

		if (!page || !is_in_memory(page, nr))
			return false;
		find_run(page, first, nr, pages, segments);
		bits &= ~mask_of(first, nr);
	}
	return !vas_page_failed(vas);
}

bool pages_find(struct vas *vas, const struct vas_dirty_word *word, struct pages *pages,
		struct pages_segments *segments)
{
	bool found;

	*pages = (struct pages){ 0 };
	segments->nr = 0;
	if (vas_enter(vas))
		return false;
	found = find_pages(vas, word, pages, segments);
	vas_leave(vas);
	return found;
}
