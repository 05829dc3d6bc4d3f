/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Windows and the segments in them: counted, under vas->lock. */
#ifndef VAS_LIB_WINDOW_H
#define VAS_LIB_WINDOW_H

#include <stdbool.h>

#include "lib/access/view.h"

/* NULL if the address space cannot be had. */
struct window *vas_window_new(struct vas *vas);
void vas_window_put(struct window *window);

/* Nobody writes there: the region says so, or its file is sealed against it. */
bool vas_region_is_readonly(const struct vas *vas, const struct vas_region *region);

/* RAM is at hand, and its offset = gpa. */
bool vas_window_can_show(const struct vas *vas);

/* The region's bytes are at base + gpa without a segment. */
bool vas_window_shows(const struct window *window, const struct vas_region *region);

/* What the window shows in a range without pieces, again: 0, or it could not be mapped. */
int vas_window_clear(struct window *window, uint64_t gpa, uint64_t size);

/* Map a region, over the window or (NULL) by itself: NULL on failure. */
struct segment *vas_segment_new(struct vas *vas, struct window *window,
				const struct vas_region *region);
void vas_segment_put(struct segment *segment);

#endif
