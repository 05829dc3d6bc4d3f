// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/base/pages.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <vas/access.h>

/* Mostly the first few bytes decide. */
static bool is_zero(const char *page)
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

/* One page, in a section, from where it is; false: not plainly there. */
static bool take_page(struct vas *vas, uint64_t gpa, char *to, bool *zero)
{
	const char *page = vas_translate(vas, gpa, VAS_PAGE_SIZE, VAS_PROT_READ);

	if (!page)
		return false;
	foresee(page);
	*zero = is_zero(page);
	if (!*zero)
		memcpy(to, page, VAS_PAGE_SIZE);
	return true;
}

/* The long way: borders within the page, failing memory. */
static int read_page(struct vas *vas, uint64_t gpa, char *to, bool *zero)
{
	int err = vas_read(vas, gpa, to, VAS_PAGE_SIZE, NULL);

	*zero = !err && is_zero(to);
	return err;
}

/* Bring one page to raw, or find it zero: -ENOENT if it is in no region any more. */
static int get_page(struct vas *vas, uint64_t gpa, char *to, bool *zero)
{
	int err = vas_enter(vas);
	bool taken;

	if (err)
		return err;
	taken = take_page(vas, gpa, to, zero) && !vas_page_failed(vas);
	vas_leave(vas);
	if (taken)
		return 0;
	err = read_page(vas, gpa, to, zero);
	return err == -EFAULT ? -ENOENT : err;
}

int pages_read(struct vas *vas, const struct vas_dirty_word *word, char *raw, struct pages *pages)
{
	char *to = raw;
	uint64_t bits;
	bool zero;

	*pages = (struct pages){ 0 };
	for (bits = word->bits; bits; bits &= bits - 1) {
		unsigned int bit = (unsigned int)__builtin_ctzll(bits);
		int err = get_page(vas, word->gpa + bit * VAS_PAGE_SIZE, to, &zero);

		if (err == -ENOENT)
			continue;
		if (err)
			return err;
		if (zero) {
			pages->zero |= 1ull << bit;
		} else {
			pages->data |= 1ull << bit;
			to += VAS_PAGE_SIZE;
		}
	}
	pages->size = (size_t)(to - raw);
	return 0;
}

static void add_segment(struct pages_segments *segments, char *page)
{
	struct iovec *last = &segments->iov[segments->nr - 1];

	if (segments->nr && (char *)last->iov_base + last->iov_len == page)
		last->iov_len += VAS_PAGE_SIZE;
	else
		segments->iov[segments->nr++] = (struct iovec){ page, VAS_PAGE_SIZE };
}

static bool find_pages(struct vas *vas, const struct vas_dirty_word *word, struct pages *pages,
		       struct pages_segments *segments)
{
	uint64_t bits;

	for (bits = word->bits; bits; bits &= bits - 1) {
		uint64_t bit = bits & -bits;
		uint64_t gpa = word->gpa + (uint64_t)__builtin_ctzll(bits) * VAS_PAGE_SIZE;
		char *page = vas_translate(vas, gpa, VAS_PAGE_SIZE, VAS_PROT_READ);

		if (!page)
			return false;
		foresee(page);
		if (is_zero(page)) {
			pages->zero |= bit;
		} else {
			pages->data |= bit;
			pages->size += VAS_PAGE_SIZE;
			add_segment(segments, page);
		}
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
