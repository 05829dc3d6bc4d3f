/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A log as vhost and vhost-user write it: a bit a page, from gpa 0 on. That is the layout of the
 * vas's own log, without its summaries.
 */
#ifndef CONSUMER_PAGE_LOG_H
#define CONSUMER_PAGE_LOG_H

#include <stdint.h>

#include <vas/consumer.h>

#define PAGE_LOG_WORD_BYTES (VAS_LOG_PAGES_PER_WORD << VAS_PAGE_SHIFT) /* of guest memory */

/* Words for all gpas of a vas. */
static inline uint64_t page_log_words(const struct vas_info *info)
{
	return info->limit / PAGE_LOG_WORD_BYTES + 1;
}

/* What is marked in a region's words moves to the vas's log: of its neighbours as well. */
static inline void page_log_move(uint64_t *log, struct vas *vas, const struct vas_region *region)
{
	uint64_t at = region->gpa / PAGE_LOG_WORD_BYTES, bits;
	uint64_t end = (region->gpa + region->size + PAGE_LOG_WORD_BYTES - 1) / PAGE_LOG_WORD_BYTES;

	for (; at < end; at++) {
		/* Most are 0: looked at, and not written to. Pairs with the writer's locked or. */
		if (!__atomic_load_n(&log[at], __ATOMIC_RELAXED))
			continue;
		bits = __atomic_exchange_n(&log[at], 0, __ATOMIC_ACQ_REL);
		vas_mark_dirty_word(vas, at * PAGE_LOG_WORD_BYTES, bits);
	}
}

#endif
