// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What peers of a share have marked, into the parent's log; nothing beyond what they share. */
#include <errno.h>
#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/dirty/tracking.h"
#include "lib/handle/log.h"
#include "lib/share/share.h"

#define BATCH	  256
#define WORD_SIZE (VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE)

/* The pages of a word at gpa that lie in the region. */
static uint64_t pages_in(const struct vas_region *r, uint64_t gpa)
{
	uint64_t first = r->gpa > gpa ? (r->gpa - gpa) / VAS_PAGE_SIZE : 0;
	uint64_t end = (r->gpa + r->size - gpa) / VAS_PAGE_SIZE;

	if (end >= VAS_LOG_PAGES_PER_WORD)
		end = VAS_LOG_PAGES_PER_WORD;
	return first < end ? ~0ull >> (64 - (end - first)) << first : 0;
}

/* Of regions from i on: those before it end before the word. */
static void move_word(const struct share *share, uint32_t i, const struct vas_dirty_word *word)
{
	const struct own_layout *own = &share->vas->own;
	uint64_t bits = 0;

	for (; i < own->nr && own->regions[i].gpa < word->gpa + WORD_SIZE; i++)
		bits |= word->bits & pages_in(&own->regions[i], word->gpa);
	if (bits)
		vas_log_mark_word(&share->consumer.vas->log, word->gpa / WORD_SIZE, bits);
}

/* Regions may share words: each word is taken with the first of them. */
static void move_all(const struct share *share)
{
	const struct own_layout *own = &share->vas->own;
	const struct vas_log *log = &share->vas->log;
	struct vas_dirty_word words[BATCH];
	uint64_t nr, n, next = 0;
	uint32_t i;

	for (i = 0; i < own->nr; i++) {
		struct vas_log_range range =
			vas_log_range_of(log, own->regions[i].gpa, own->regions[i].size);

		if (range.next < next)
			range.next = next;
		next = range.end;
		while (range.next < range.end && (nr = vas_log_take(log, &range, words, BATCH)))
			for (n = 0; n < nr; n++)
				move_word(share, i, &words[n]);
	}
}

static void mark_touched(const struct share *share)
{
	const struct own_layout *own = &share->vas->own;
	uint32_t i;

	for (i = 0; i < own->nr; i++)
		vas_log_mark_touched(share->vas, &share->consumer.vas->log, &own->regions[i]);
}

/*
 * Whoever died in a section or with a map may have missed marks, and left bits without the levels
 * above them. Nobody but us takes from this log, so the drain lock, which a peer could keep, is not
 * needed.
 */
static int repair(struct share *share, bool *all)
{
	uint32_t incomplete;
	int err;

	vas_tracking_reap(share->vas);
	incomplete = __atomic_load_n(&share->vas->ctl->log_incomplete, __ATOMIC_ACQUIRE);
	if (incomplete == share->incomplete_seen)
		return 0;
	err = vas_log_repair(share->vas);
	if (err)
		return err;
	share->incomplete_seen = incomplete;
	*all = true;
	return 0;
}

int vas_share_harvest(struct share *share)
{
	struct vas_scan scan;
	bool all = false;
	int err;

	if (share->flags & VAS_SHARE_READONLY)
		return 0;
	if (vas_log_is_broken(share->vas))
		return vas_error_set(-ENOMEM, "a page of a share's dirty log could not be had");
	err = repair(share, &all);
	if (err)
		return err;
	/* Into the share's log first, for a peer may claim to have anything mapped. */
	vas_scan_begin(&scan, &share->vas->proto, 0);
	if (vas_pins_are_dirty(&scan) && !vas_pins_mark(&scan, &share->vas->log))
		all = true;
	move_all(share);
	if (all)
		mark_touched(share);
	return 0;
}
