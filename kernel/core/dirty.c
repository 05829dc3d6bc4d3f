// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * docs/design/dirty.md. The log is as sparse as the guest's address space, so only those of its
 * pages are held that somebody here may write. They are pinned before the first write to what they
 * stand for, as marking comes after a write and must not fail, and kept until the binding ends.
 */
#include "dirty.h"

#include <linux/mm.h>
#include <linux/srcu.h>
#include <linux/xarray.h>

#include "binding.h"
#include "core/log.h"
#include "counters.h"
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

	xa_for_each(&vas->log_pages, i, page)
	{
		vas_folio_dirty(page_folio(page));
		put_page(page);
		vas_count(VAS_COUNT_LOG_PAGES, -1);
	}
	xa_destroy(&vas->log_pages);
}

static int hold_page(struct vas *vas, u64 number, u32 flags)
{
	u64 offset = vas->sb->extents[VAS_EXT_LOG].offset + (number << PAGE_SHIFT);
	struct vas_segment segment;
	void *old;
	int err;

	if (xa_load(&vas->log_pages, number))
		return 0;
	if (flags & VAS_NO_SLEEP)
		return -EAGAIN;
	err = vas_segment_get(&vas->backings[0], offset, PAGE_SIZE, VAS_SEGMENT_ALLOC, &segment);
	if (err)
		return err;
	old = xa_cmpxchg(&vas->log_pages, number, NULL, virt_to_page(segment.addr),
			 GFP_KERNEL_ACCOUNT);
	if (old)
		vas_segment_put(&segment); /* somebody was faster, or no memory */
	else
		vas_count(VAS_COUNT_LOG_PAGES, 1);
	return xa_err(old);
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
static u64 *level_base(struct vas *vas, const struct place *place, int level)
{
	struct page *page = xa_load(&vas->log_pages, place->page[level]);
	u64 first = place->word[level] & ~(PAGE_SIZE / sizeof(u64) - 1);

	if (!page)
		return NULL;
	return (u64 *)((uintptr_t)page_address(page) - (uintptr_t)(first * sizeof(u64)));
}

/* False: the chunk was not prepared. */
static bool find_log(struct vas *vas, u64 gpa, struct vas_log *log)
{
	struct place place;

	find_place(vas, gpa, &place);
	log->words = level_base(vas, &place, WORDS);
	log->summary = level_base(vas, &place, SUMMARY);
	log->top = level_base(vas, &place, TOP);
	log->nr_pages = vas->sb->limit >> VAS_PAGE_SHIFT;
	return log->words && log->summary && log->top;
}

/* False: some of it was not prepared. */
static bool mark_chunks(struct vas *vas, u64 gpa, u64 len,
			void (*mark)(const struct vas_log *log, u64 gpa, u64 len))
{
	bool all = true;

	/*
	 * W1 before W2; pairs with the harvester's membarrier, H3, which doesn't reach the kernel.
	 */
	smp_mb();
	while (len) {
		u64 nr = min(len, CHUNK_SIZE - (gpa & (CHUNK_SIZE - 1)));
		struct vas_log log;

		if (find_log(vas, gpa, &log))
			mark(&log, gpa, nr);
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
	WARN_ON_ONCE(!mark_chunks(vas, gpa, len, vas_log_mark));
}

/* The same on all levels, whatever is set already: somebody has died who may have marked half. */
void vas_dirty_mark_again(struct vas *vas, u64 gpa, u64 len)
{
	WARN_ON_ONCE(!mark_chunks(vas, gpa, len, vas_log_mark_again));
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
	idx = srcu_read_lock(&vas_srcu);
	view = srcu_dereference(vas->view, &vas_srcu);
	tracked = view->flags & VAS_STATE_TRACKING ||
		  READ_ONCE(vas->control->generation) != view->generation;
	srcu_read_unlock(&vas_srcu, idx);
	/*
	 * What is not prepared was written in a section of before tracking, whose beginning waits
	 * for that section: it needs no mark.
	 */
	if (tracked)
		mark_chunks(vas, gpa, len, vas_log_mark);
}
EXPORT_SYMBOL_GPL(vas_mark);
