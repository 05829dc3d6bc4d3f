// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/log.h"

static uint64_t words_for(uint64_t bits)
{
	return (bits + 63) / 64;
}

void vas_log_layout(uint64_t limit, struct vas_log_layout *layout)
{
	uint64_t nr_words = words_for(limit >> VAS_PAGE_SHIFT);
	uint64_t nr_summary = words_for(nr_words);

	layout->summary_offset = vas_align_up(nr_words * 8, VAS_PAGE_SIZE);
	layout->top_offset = layout->summary_offset + vas_align_up(nr_summary * 8, VAS_PAGE_SIZE);
	layout->size = layout->top_offset + vas_align_up(words_for(nr_summary) * 8, VAS_PAGE_SIZE);
}

void vas_log_init(struct vas_log *log, void *memory, uint64_t limit)
{
	struct vas_log_layout layout;

	vas_log_layout(limit, &layout);
	log->words = memory;
	log->summary = (uint64_t *)((char *)memory + layout.summary_offset);
	log->top = (uint64_t *)((char *)memory + layout.top_offset);
	log->nr_pages = limit >> VAS_PAGE_SHIFT;
}

void vas_log_repair_word(const struct vas_log *log, uint64_t word)
{
	vas_log_set_bits(&log->summary[word / 64], 1ull << word % 64);
	vas_log_set_bits(&log->top[word / 64 / 64], 1ull << word / 64 % 64);
}

void vas_log_mark_word_again(const struct vas_log *log, uint64_t word, uint64_t bits)
{
	vas_log_set_bits(&log->words[word], bits);
	vas_log_repair_word(log, word);
}

/* The pages that the range touches: their number, and the first. */
static uint64_t pages_of(const struct vas_log *log, uint64_t gpa, uint64_t len, uint64_t *first)
{
	uint64_t last;

	*first = gpa >> VAS_PAGE_SHIFT;
	if (!len || *first >= log->nr_pages)
		return 0;
	last = len - 1 > ~0ull - gpa ? ~0ull : gpa + (len - 1);
	last >>= VAS_PAGE_SHIFT;
	if (last >= log->nr_pages)
		last = log->nr_pages - 1;
	return last - *first + 1;
}

static inline __attribute__((always_inline)) void
mark_pages(const struct vas_log *log, uint64_t page, uint64_t nr_pages,
	   void (*mark)(const struct vas_log *, uint64_t, uint64_t))
{
	while (nr_pages) {
		uint64_t in_word = 64 - page % 64;
		uint64_t nr = nr_pages < in_word ? nr_pages : in_word;

		mark(log, page / 64, (~0ull >> (64 - nr)) << page % 64);
		page += nr;
		nr_pages -= nr;
	}
}

void vas_log_mark(const struct vas_log *log, uint64_t gpa, uint64_t len)
{
	uint64_t page, nr = pages_of(log, gpa, len, &page);

	mark_pages(log, page, nr, vas_log_mark_word);
}

void vas_log_mark_again(const struct vas_log *log, uint64_t gpa, uint64_t len)
{
	uint64_t page, nr = pages_of(log, gpa, len, &page);

	mark_pages(log, page, nr, vas_log_mark_word_again);
}

/* ---- taking ------------------------------------------------------------------------------- */

struct vas_log_range vas_log_range_of(const struct vas_log *log, uint64_t gpa, uint64_t len)
{
	uint64_t page, nr = pages_of(log, gpa, len, &page);

	if (!nr)
		return (struct vas_log_range){ 0, 0 };
	return (struct vas_log_range){ page / 64, (page + nr - 1) / 64 + 1 };
}

/* Bits [first, end) of word i of a bitmap. */
static uint64_t bits_within(uint64_t i, uint64_t first, uint64_t end)
{
	uint64_t low = i * 64, mask = ~0ull;

	if (first > low)
		mask &= ~0ull << (first - low);
	if (end < low + 64)
		mask &= ~0ull >> (low + 64 - end);
	return mask;
}

/* A walk over a log: from where to where. */
struct taking {
	const struct vas_log *log;
	const struct vas_log_others *others;
	struct vas_dirty_word *words;
	uint64_t nr;
	uint64_t taken;
};

/* H2. What is marked between the load and the clearing is another bit, or is seen to by H3. */
static uint64_t take_word(const struct taking *t, uint64_t word)
{
	uint64_t *from = &t->log->words[word], dirty;
	uint32_t i;

	if (!t->others->nr)
		return __atomic_exchange_n(from, 0, __ATOMIC_SEQ_CST);
	dirty = __atomic_load_n(from, __ATOMIC_SEQ_CST);
	for (i = 0; dirty && i < t->others->nr; i++)
		vas_log_mark_word_again(&t->others->logs[i], word, dirty);
	__atomic_fetch_and(from, ~dirty, __ATOMIC_SEQ_CST);
	return dirty;
}

/*
 * H1: the words under one summary word whose top bit is clear already. The summary's bits go before
 * the words, so that a marker that runs meanwhile sets them again: it sees them clear, or its
 * word's bit was in place before and is taken here.
 */
static void take_summary(struct taking *t, uint64_t s, struct vas_log_range *range)
{
	uint64_t wanted = bits_within(s, range->next, range->end);
	uint64_t bits = __atomic_fetch_and(&t->log->summary[s], ~wanted, __ATOMIC_SEQ_CST) & wanted;
	uint64_t taken = t->taken;

	for (; bits && taken < t->nr; bits &= bits - 1) {
		uint64_t word = s * 64 + (uint64_t)__builtin_ctzll(bits),
			 dirty = take_word(t, word);

		t->words[taken] = (struct vas_dirty_word){ word * 64 << VAS_PAGE_SHIFT, dirty };
		taken += dirty != 0;
	}
	t->taken = taken;
	range->next = bits ? s * 64 + (uint64_t)__builtin_ctzll(bits) : (s + 1) * 64;
	/* What was not wanted, or had no room: it stays to be found. */
	if (bits)
		__atomic_fetch_or(&t->log->summary[s], bits, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&t->log->summary[s], __ATOMIC_SEQ_CST))
		vas_log_set_bits(&t->log->top[s / 64], 1ull << s % 64);
}

/* The next summary word in [s, end) whose top bit is set, or end. */
static uint64_t next_summary(const struct vas_log *log, uint64_t s, uint64_t end)
{
	while (s < end) {
		uint64_t top = __atomic_load_n(&log->top[s / 64], __ATOMIC_RELAXED) &
			       bits_within(s / 64, s, end);

		if (top)
			return s / 64 * 64 + (uint64_t)__builtin_ctzll(top);
		s = (s / 64 + 1) * 64;
	}
	return end;
}

uint64_t vas_log_next(const struct vas_log *log, uint64_t word, uint64_t end)
{
	uint64_t nr = (end + 63) / 64, bits;

	while (word < end) {
		uint64_t s = next_summary(log, word / 64, nr);

		if (s == nr)
			break;
		if (word < s * 64)
			word = s * 64;
		bits = __atomic_load_n(&log->summary[s], __ATOMIC_RELAXED) &
		       bits_within(s, word, end);
		if (bits)
			return s * 64 + (uint64_t)__builtin_ctzll(bits);
		word = (s + 1) * 64;
	}
	return end;
}

uint64_t vas_log_move(const struct vas_log *log, struct vas_log_range *range,
		      const struct vas_log_others *others, struct vas_dirty_word *words,
		      uint64_t nr)
{
	struct taking t = { .log = log, .others = others, .words = words, .nr = nr };
	uint64_t end = (range->end + 63) / 64;

	while (range->next < range->end) {
		uint64_t s = next_summary(log, range->next / 64, end);

		if (s == end) {
			range->next = range->end;
			break;
		}
		if (range->next < s * 64)
			range->next = s * 64;
		if (t.taken == nr)
			break;
		/* Before the summary's, for the same reason. */
		__atomic_fetch_and(&log->top[s / 64], ~(1ull << s % 64), __ATOMIC_SEQ_CST);
		take_summary(&t, s, range);
	}
	if (range->next > range->end)
		range->next = range->end;
	return t.taken;
}

uint64_t vas_log_take(const struct vas_log *log, struct vas_log_range *range,
		      struct vas_dirty_word *words, uint64_t nr)
{
	static const struct vas_log_others nobody;

	return vas_log_move(log, range, &nobody, words, nr);
}
