/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Where the parts of a dirty log lie, and marking: docs/design/dirty.md. The words are shared with
 * every writer, so all access is atomic; marking never waits.
 */
#ifndef VAS_CORE_LOG_H
#define VAS_CORE_LOG_H

#include <vas/format.h>

#include "core/range.h"

/* One log: words, one bit a page; summary, one bit a word; top, one bit a summary word. */
struct vas_log {
	uint64_t *words;
	uint64_t *summary;
	uint64_t *top;
	uint64_t nr_pages;
};

/* Byte offsets of the parts in a log for limit bytes of gpa, and its size, page aligned. */
struct vas_log_layout {
	uint64_t summary_offset;
	uint64_t top_offset;
	uint64_t size;
};

void vas_log_layout(uint64_t limit, struct vas_log_layout *layout);
void vas_log_init(struct vas_log *log, void *memory, uint64_t limit);

/*
 * Set bits, unless all are set: then it is a load, and the cache line stays shared. true if it was
 * they that were missing.
 *
 * The loads of W4 and W5 are ordered after the locked or before them, and that is what the taker
 * relies on: a marker that sees a level still set has its bit below it in place. W2 needs no order:
 * H3.
 */
static inline bool vas_log_set_bits(uint64_t *word, uint64_t bits)
{
	if ((__atomic_load_n(word, __ATOMIC_SEQ_CST) & bits) == bits)
		return false;
	__atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
	return true;
}

/*
 * W2 to W5 for some pages of one word. A bit that is set already was set by somebody who sees to
 * the levels above, in a section or under a pin; if it dies on the way there, the levels are
 * repaired (vas_control.log_incomplete), or its pin is marked again.
 */
static inline void vas_log_mark_word(const struct vas_log *log, uint64_t word, uint64_t bits)
{
	if (vas_log_set_bits(&log->words[word], bits) &&			     /* W2, W3 */
	    vas_log_set_bits(&log->summary[word / 64], 1ull << word % 64))	     /* W4 */
		vas_log_set_bits(&log->top[word / 64 / 64], 1ull << word / 64 % 64); /* W5 */
}

/* Mark each page that [gpa, gpa + len) touches; what lies beyond the log is dropped. */
void vas_log_mark(const struct vas_log *log, uint64_t gpa, uint64_t len);

/*
 * The same, all levels each time: where a marker may have died outside of any section, half way, a
 * bit that is set already says nothing about the levels above it.
 */
void vas_log_mark_word_again(const struct vas_log *log, uint64_t word, uint64_t bits);
void vas_log_mark_again(const struct vas_log *log, uint64_t gpa, uint64_t len);

/*
 * The levels above a word that is not 0: whoever died between its bit and these has left them
 * unset, and no marker sets them, for each stops at the bit.
 */
void vas_log_repair_word(const struct vas_log *log, uint64_t word);

/*
 * The first word in [word, end) that the levels above do not say is 0; else end. Nothing is taken:
 * for a log whose levels are set before it is shown, and stay.
 */
uint64_t vas_log_next(const struct vas_log *log, uint64_t word, uint64_t end);

/* Words that are to be taken: [next, end). */
struct vas_log_range {
	uint64_t next;
	uint64_t end;
};

/* The words for [gpa, gpa + len), as far as there are such. */
struct vas_log_range vas_log_range_of(const struct vas_log *log, uint64_t gpa, uint64_t len);

/*
 * H1: clear up to nr words that are not 0, store them in `words`, and return their number.
 * range->next moves on to what was not looked at; at range->end all was. One taker at a time.
 */
uint64_t vas_log_take(const struct vas_log *log, struct vas_log_range *range,
		      struct vas_dirty_word *words, uint64_t nr);

/* Logs that have to have a bit before another loses it: those of other trackers. */
struct vas_log_others {
	struct vas_log logs[VAS_MAX_TRACKERS];
	uint32_t nr;
};

/*
 * H1 and H2: the same, and what is taken is in all the others' logs, at whatever step the taker
 * dies.
 */
uint64_t vas_log_move(const struct vas_log *log, struct vas_log_range *range,
		      const struct vas_log_others *others, struct vas_dirty_word *words,
		      uint64_t nr);

#endif
