// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "pages.h"

#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "account.h"
#include "alloc.h"
#include "backing.h"
#include "../compat/compat.h"
#include "counters.h"

#define PIN_BATCH 512

static int alloc_arrays(struct vas_pages *window, unsigned long max)
{
	window->pages = kvcalloc(max, sizeof(*window->pages), VAS_GFP_LARGE);
	if (!window->pages)
		return -ENOMEM;
	window->folios = kvcalloc(max, sizeof(*window->folios), VAS_GFP_LARGE);
	if (!window->folios) {
		kvfree(window->pages);
		window->pages = NULL;
		return -ENOMEM;
	}
	return 0;
}

/*
 * Room for max pages, charged to an account that outlives the window; none there yet. -E2BIG: more
 * than an array can hold; -ENOMEM. May sleep, as all here.
 */
int vas_pages_init(struct vas_pages *window, const struct vas_account *account, unsigned long max)
{
	int err;

	if (max > INT_MAX)
		return -E2BIG;
	memset(window, 0, sizeof(*window));
	err = vas_account_charge(account, max);
	if (err)
		return err;
	err = alloc_arrays(window, max);
	if (err) {
		vas_account_uncharge(account, max);
		return err;
	}
	window->account = account;
	window->max = max;
	return 0;
}

/* Append the pages of a folio that hold [offset, offset + len); returns how many bytes. */
static u64 append_pages(struct vas_pages *window, struct folio *folio, u64 offset, u64 len)
{
	u64 at = offset & (folio_size(folio) - 1);
	u64 done;

	len = min(len, folio_size(folio) - at);
	for (done = 0; done < len; done += PAGE_SIZE)
		window->pages[window->nr++] = folio_page(folio, (at + done) >> PAGE_SHIFT);
	return len;
}

/*
 * A page that was only allocated, by fallocate(2), is zeroed by who first asks the file for it, and
 * so would be what we had written there.
 */
static int zero_allocated(const struct vas_backing *backing, struct folio *folio, u64 offset)
{
	struct vas_segment segment;
	int err;

	if (folio_test_uptodate(folio))
		return 0;
	err = vas_segment_get(backing, offset, PAGE_SIZE, VAS_SEGMENT_ALLOC, &segment);
	if (err)
		return err;
	/* Punched out meanwhile: another page took its place. */
	err = segment.folio == folio ? 0 : -EAGAIN;
	vas_segment_put(&segment);
	return err;
}

static int add_pinned(struct vas_pages *window, const struct vas_backing *backing, u64 offset,
		      u64 len)
{
	while (len) {
		struct folio **folios = window->folios + window->nr_pinned;
		u64 batch = min_t(u64, len, PIN_BATCH << PAGE_SHIFT), done = 0;
		pgoff_t unused;
		long nr, i;

		nr = memfd_pin_folios(backing->file, offset, offset + batch - 1, folios,
				      batch >> PAGE_SHIFT, &unused);
		if (nr <= 0)
			return nr == -ENOMEM || nr == -EINTR ? nr : -EIO;
		window->nr_pinned += nr;
		vas_count(VAS_COUNT_PINNED_FOLIOS, nr);
		for (i = 0; i < nr; i++) {
			int err = zero_allocated(backing, folios[i], offset + done);

			if (err)
				return err;
			done += append_pages(window, folios[i], offset + done, batch - done);
		}
		if (done != batch)
			return -EIO;
		offset += batch;
		len -= batch;
	}
	return 0;
}

static int add_held(struct vas_pages *window, const struct vas_backing *backing, u64 offset,
		    u64 len)
{
	while (len) {
		struct vas_segment segment;
		u64 done;
		int err = vas_segment_get(backing, offset, len, VAS_SEGMENT_ALLOC, &segment);

		if (err)
			return err;
		window->folios[window->max - ++window->nr_held] = segment.folio;
		vas_count(VAS_COUNT_PINNED_FOLIOS, 1);
		done = append_pages(window, segment.folio, offset, len);
		offset += done;
		len -= done;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/*
 * Pin pages of a backing, holes filled, behind those that the window has. offset and len are page
 * aligned, and the window has room. After an error the window has what it had, and may have some
 * of the new pages: the caller cleans it.
 */
int vas_pages_add(struct vas_pages *window, const struct vas_backing *backing, u64 offset, u64 len)
{
	if (window->is_user)
		return -ENXIO;
	if (backing->kind == VAS_BACKING_OTHER)
		return -EOPNOTSUPP;
	if (WARN_ON_ONCE(len >> PAGE_SHIFT > window->max - window->nr))
		return -E2BIG;
	/* memfd_pin_folios() takes hugetlb pages from the reserve, whether or not there is one. */
	if (VAS_COMPAT_PIN_FOLIOS && backing->kind == VAS_BACKING_SHMEM)
		return add_pinned(window, backing, offset, len);
	return add_held(window, backing, offset, len);
}

/*
 * The same for memory of a process, which is not mixed with pages of files (-ENXIO), as is a
 * process that is gone.
 */
int vas_pages_add_user(struct vas_pages *window, struct mm_struct *mm, unsigned long hva, u64 len,
		       u32 flags)
{
	u32 gup = FOLL_LONGTERM | (flags & VAS_PAGES_READONLY ? 0 : FOLL_WRITE);
	int err = 0;

	if ((window->nr && !window->is_user) || !mm || !mmget_not_zero(mm))
		return -ENXIO;
	window->is_user = true;
	while (len && !err) {
		long nr = vas_compat_pin_user(mm, hva, len >> PAGE_SHIFT, gup,
					      window->pages + window->nr);

		if (nr <= 0) {
			err = nr == -EINTR || nr == -ENOMEM ? nr : -EIO;
			break;
		}
		window->nr += nr;
		hva += nr << PAGE_SHIFT;
		len -= nr << PAGE_SHIFT;
	}
	mmput(mm);
	return err;
}

/* Give the pages one contiguous address. */
int vas_pages_map(struct vas_pages *window, u32 flags)
{
	pgprot_t prot = flags & VAS_PAGES_READONLY ? PAGE_KERNEL_RO : PAGE_KERNEL;

	window->addr = vmap(window->pages, window->nr, VM_MAP, prot);
	return window->addr ? 0 : -ENOMEM;
}

/* The pages were written, as far as anybody knows. */
void vas_pages_dirty(struct vas_pages *window)
{
	unsigned long i;

	for (i = 0; i < window->nr_pinned; i++, cond_resched())
		vas_folio_dirty(window->folios[i]);
	for (i = 1; i <= window->nr_held; i++, cond_resched())
		vas_folio_dirty(window->folios[window->max - i]);
	for (i = 0; window->is_user && i < window->nr; i++, cond_resched())
		set_page_dirty_lock(window->pages[i]);
}

/* All pages are still their files': nobody has punched one out, nor is one being swapped. */
bool vas_pages_is_attached(const struct vas_pages *window)
{
	unsigned long i;

	for (i = 0; i < window->nr; i++)
		if (!READ_ONCE(page_folio(window->pages[i])->mapping))
			return false;
	return true;
}

/* Undo whatever was done. A window that is all zeros is fine. */
void vas_pages_clean(struct vas_pages *window)
{
	unsigned long i;

	vunmap(window->addr);
	if (window->is_user)
		unpin_user_pages(window->pages, window->nr);
	for (i = 0; i < window->nr_pinned; i++, cond_resched())
		unpin_folio(window->folios[i]);
	for (i = 1; i <= window->nr_held; i++, cond_resched())
		folio_put(window->folios[window->max - i]);
	vas_count(VAS_COUNT_PINNED_FOLIOS, -(long)(window->nr_pinned + window->nr_held));
	kvfree(window->folios);
	kvfree(window->pages);
	if (window->account)
		vas_account_uncharge(window->account, window->max);
	memset(window, 0, sizeof(*window));
}
