// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * docs/design/dirty.md. The log is as sparse as the guest's address space, so only those of its
 * pages are held that somebody here may write. They are pinned before the first write to what they
 * stand for, as marking comes after a write and must not fail, and kept until the binding ends.
 */
#include "dirty.h"

#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/srcu.h>
#include <linux/xarray.h>

#include "binding.h"
#include "core/log.h"
#include "counters.h"
#include "inode.h"
#include "view.h"

/* Guest memory that one page of the log's words stands for; its summary and top words are in one
 * page each, too. */
#define CHUNK_SHIFT (PAGE_SHIFT + 3 + VAS_PAGE_SHIFT)
#define CHUNK_SIZE  (1ull << CHUNK_SHIFT)

enum { WORDS, SUMMARY, TOP, NR_LEVELS };

/* Where the words for a gpa lie, as numbers of pages of the log and words in each level. */
struct place {
	u64 word[NR_LEVELS];
	u64 page[NR_LEVELS];
};

static void find_place(const struct vas *vas, u64 gpa, struct place *place)
{
	struct vas_log_layout layout;

	vas_log_layout(vas->sb->limit, &layout);
	place->word[WORDS] = gpa >> VAS_PAGE_SHIFT >> 6;
	place->word[SUMMARY] = place->word[WORDS] >> 6;
	place->word[TOP] = place->word[SUMMARY] >> 6;
	place->page[WORDS] = place->word[WORDS] * 8 >> PAGE_SHIFT;
	place->page[SUMMARY] = (layout.summary_offset + place->word[SUMMARY] * 8) >> PAGE_SHIFT;
	place->page[TOP] = (layout.top_offset + place->word[TOP] * 8) >> PAGE_SHIFT;
}

void vas_dirty_init(struct vas *vas)
{
	xa_init(&vas->log_pages);
}

void vas_dirty_clean(struct vas *vas)
{
	struct page *page;
	unsigned long i;

	xa_for_each(&vas->log_pages, i, page) {
		vas_folio_dirty(page_folio(page));
		put_page(page);
		vas_count(VAS_COUNT_LOG_PAGES, -1);
		vas_account_uncharge(&vas->account, 1);
	}
	xa_destroy(&vas->log_pages);
}

static int get_page_of_log(struct vas *vas, u64 number, struct vas_segment *segment)
{
	u64 offset = vas->sb->extents[VAS_EXT_LOG].offset + (number << PAGE_SHIFT);

	return vas_segment_get(&vas->backings[0], offset, PAGE_SIZE, VAS_SEGMENT_ALLOC, segment);
}

static int hold_page(struct vas *vas, u64 number, u32 flags)
{
	struct vas_segment segment;
	void *old;
	int err;

	if (xa_load(&vas->log_pages, number))
		return 0;
	if (flags & VAS_NO_SLEEP)
		return -EAGAIN;
	err = vas_account_charge(&vas->account, 1);
	if (err)
		return err;
	err = get_page_of_log(vas, number, &segment);
	if (err)
		goto err_uncharge;
	old = xa_cmpxchg(&vas->log_pages, number, NULL, virt_to_page(segment.addr),
			 GFP_KERNEL_ACCOUNT);
	if (old)
		goto err_put_segment;
	vas_count(VAS_COUNT_LOG_PAGES, 1);
	return 0;
err_put_segment:
	vas_segment_put(&segment);
	err = xa_err(old); /* 0: somebody was faster */
err_uncharge:
	vas_account_uncharge(&vas->account, 1);
	return err;
}

static int prepare_chunk(struct vas *vas, u64 gpa, u32 flags)
{
	struct place place;
	int level, err;

	find_place(vas, gpa, &place);
	for (level = WORDS; level < NR_LEVELS; level++) {
		err = hold_page(vas, place.page[level], flags);
		if (err)
			return err;
	}
	return 0;
}

/*
 * Make sure that vas_dirty_mark() can do its work in [gpa, gpa + len), which lies below the limit.
 * May sleep, unless VAS_NO_SLEEP: -EAGAIN.
 */
int vas_dirty_prepare(struct vas *vas, u64 gpa, u64 len, u32 flags)
{
	u64 end = gpa + len;
	int err;

	for (gpa &= ~(CHUNK_SIZE - 1); gpa < end; gpa += CHUNK_SIZE) {
		err = prepare_chunk(vas, gpa, flags);
		if (err)
			return err;
	}
	return 0;
}

/* The address that word 0 of a level would have if the whole level lay where this page of it is. */
static u64 *level_base(const void *page, const struct place *place, int level)
{
	u64 first = place->word[level] & ~(PAGE_SIZE / sizeof(u64) - 1);

	return (u64 *)((uintptr_t)page - (uintptr_t)(first * sizeof(u64)));
}

/* NULL: not available. */
static u64 *held_base(struct vas *vas, const struct place *place, int level)
{
	struct page *page = xa_load(&vas->log_pages, place->page[level]);

	return page ? level_base(page_address(page), place, level) : NULL;
}

/* False: the chunk was not prepared. */
static bool find_log(struct vas *vas, u64 gpa, struct vas_log *log)
{
	struct place place;

	find_place(vas, gpa, &place);
	log->words = held_base(vas, &place, WORDS);
	log->summary = held_base(vas, &place, SUMMARY);
	log->top = held_base(vas, &place, TOP);
	log->nr_pages = vas->sb->limit >> VAS_PAGE_SHIFT;
	return log->words && log->summary && log->top;
}

static u64 in_chunk(u64 gpa, u64 len)
{
	return min(len, CHUNK_SIZE - (gpa & (CHUNK_SIZE - 1)));
}

/* False: some of it was not prepared. */
static bool mark_chunks(struct vas *vas, u64 gpa, u64 len)
{
	bool all = true;

	/*
	 * W1 before W2; pairs with the harvester's membarrier, H3, which doesn't reach the kernel.
	 */
	smp_mb();
	while (len) {
		u64 nr = in_chunk(gpa, len);
		struct vas_log log;

		if (find_log(vas, gpa, &log))
			vas_log_mark(&log, gpa, nr);
		else
			all = false;
		gpa += nr;
		len -= nr;
	}
	return all;
}

/* Mark what was prepared, after it was written. */
void vas_dirty_mark(struct vas *vas, u64 gpa, u64 len)
{
	WARN_ON_ONCE(!mark_chunks(vas, gpa, len));
}

/* Part of one chunk, on all levels, whatever is set already. */
static int mark_left(struct vas *vas, u64 gpa, u64 len)
{
	struct vas_log log = { .nr_pages = vas->sb->limit >> VAS_PAGE_SHIFT };
	struct vas_segment segments[NR_LEVELS];
	struct place place;
	int level, err = 0;

	find_place(vas, gpa, &place);
	for (level = WORDS; level < NR_LEVELS; level++) {
		err = get_page_of_log(vas, place.page[level], &segments[level]);
		if (err)
			goto out_put_segments;
		vas_folio_dirty(segments[level].folio);
	}
	log.words = level_base(segments[WORDS].addr, &place, WORDS);
	log.summary = level_base(segments[SUMMARY].addr, &place, SUMMARY);
	log.top = level_base(segments[TOP].addr, &place, TOP);
	vas_log_mark_again(&log, gpa, len);
out_put_segments:
	while (level-- > WORDS)
		vas_segment_put(&segments[level]);
	return err;
}

/*
 * Mark what somebody has left who died, maybe half way. Nothing of the log is kept, since what was
 * left may be anything. *allowance: in how many chunks, this time and in calls to come; -E2BIG: in
 * more. -ENOMEM, -EIO. May sleep.
 */
int vas_dirty_mark_left(struct vas *vas, u64 gpa, u64 len, u32 *allowance)
{
	smp_mb(); /* as in mark_chunks() */
	while (len) {
		u64 nr = in_chunk(gpa, len);
		int err;

		if (!*allowance)
			return -E2BIG;
		--*allowance;
		err = mark_left(vas, gpa, nr);
		if (err)
			return err;
		gpa += nr;
		len -= nr;
		cond_resched();
	}
	return 0;
}

/**
 * vas_mark - tell the dirty log that guest memory was written
 * @vas: the binding
 * @gpa: where
 * @len: how much
 *
 * After the write. For those who write by address: in a writable map with VAS_MAPPING_MARKS, or
 * behind vas_cache_at() with VAS_PROT_WRITE, before vas_leave(), and only there: elsewhere the log
 * may not be available, and the mark is dropped. Does nothing while nobody tracks.
 */
void vas_mark(struct vas *vas, u64 gpa, u64 len)
{
	const struct vas_view *view;
	bool tracked;
	int idx;

	/*
	 * The write comes before the look at the generation. Who turns tracking on publishes first
	 * and reads memory then: either we see that, or our write is seen.
	 */
	smp_mb();
	idx = srcu_read_lock(&vas->info->srcu);
	view = srcu_dereference(vas->view, &vas->info->srcu);
	tracked = view->flags & VAS_STATE_TRACKING ||
		  READ_ONCE(vas->control->generation) != view->generation;
	srcu_read_unlock(&vas->info->srcu, idx);
	/*
	 * What is not prepared was written in a section of before tracking, whose beginning waits
	 * for that section: it needs no mark.
	 */
	if (tracked)
		mark_chunks(vas, gpa, len);
}
EXPORT_SYMBOL_GPL(vas_mark);
