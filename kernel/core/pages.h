/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pages of backings that stay put, and a contiguous kernel address for them. */
#ifndef VAS_KERNEL_PAGES_H
#define VAS_KERNEL_PAGES_H

#include <linux/types.h>

struct folio;
struct mm_struct;
struct page;
struct vas_account;
struct vas_backing;

/**
 * struct vas_pages - some pages, pinned
 * @account: who pays for @max pages
 * @pages: in order of their addresses, @nr of @max so far
 * @nr: pages pinned
 * @max: room in @pages and @folios
 * @is_user: they were pinned in a process, and @folios is not used
 * @folios: from the front, those that are to be unpinned; from the end, those that are to be put
 * @nr_pinned: how many at the front
 * @nr_held: how many at the end
 * @addr: the first page's address, after vas_pages_map(); else NULL
 */
struct vas_pages {
	const struct vas_account *account;
	struct page **pages;
	unsigned long nr;
	unsigned long max;
	bool is_user;
	struct folio **folios;
	unsigned long nr_pinned;
	unsigned long nr_held;
	void *addr;
};

#define VAS_PAGES_READONLY 1u

int vas_pages_init(struct vas_pages *window, const struct vas_account *account, unsigned long max);
int vas_pages_add(struct vas_pages *window, const struct vas_backing *backing, u64 offset, u64 len);
int vas_pages_add_user(struct vas_pages *window, struct mm_struct *mm, unsigned long hva, u64 len,
		       u32 flags);
int vas_pages_map(struct vas_pages *window, u32 flags);
void vas_pages_dirty(struct vas_pages *window);
void vas_pages_clean(struct vas_pages *window);
bool vas_pages_is_attached(const struct vas_pages *window);

#endif
