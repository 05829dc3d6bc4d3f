// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "core/log.h"

#include <vas/format.h>

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
	layout->size = layout->top_offset +
		       vas_align_up(words_for(nr_summary) * 8, VAS_PAGE_SIZE);
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

/* Set bits that may be set already: then it is a load, and the cache line stays shared. */
static void set_bits(uint64_t *word, uint64_t bits)
{
	if ((__atomic_load_n(word, __ATOMIC_RELAXED) & bits) != bits)
		__atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST);
}

void vas_log_mark_word(const struct vas_log *log, uint64_t word, uint64_t bits)
{
	set_bits(&log->words[word], bits);			  /* W2, W3 */
	set_bits(&log->summary[word / 64], 1ull << word % 64);	  /* W4 */
	set_bits(&log->top[word / 64 / 64], 1ull << word / 64 % 64); /* W5 */
}

void vas_log_mark(const struct vas_log *log, uint64_t gpa, uint64_t len)
{
	uint64_t page = gpa >> VAS_PAGE_SHIFT, last;

	if (!len || page >= log->nr_pages)
		return;
	last = len - 1 > ~0ull - gpa ? ~0ull : gpa + (len - 1);
	last >>= VAS_PAGE_SHIFT;
	if (last >= log->nr_pages)
		last = log->nr_pages - 1;
	while (page <= last) {
		uint64_t in_word = 64 - page % 64;
		uint64_t nr = last - page + 1 < in_word ? last - page + 1 : in_word;

		vas_log_mark_word(log, page / 64, (~0ull >> (64 - nr)) << page % 64);
		page += nr;
	}
}
