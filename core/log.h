/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Where the parts of a dirty log lie, and marking: DESIGN.md, "Dirty log". The words are shared with
 * every writer, so all access is atomic; marking never waits.
 */
#ifndef VAS_CORE_LOG_H
#define VAS_CORE_LOG_H

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

/* W2 to W5 for some pages of one word. */
void vas_log_mark_word(const struct vas_log *log, uint64_t word, uint64_t bits);

/* Mark each page that [gpa, gpa + len) touches; what lies beyond the log is dropped. */
void vas_log_mark(const struct vas_log *log, uint64_t gpa, uint64_t len);

#endif
