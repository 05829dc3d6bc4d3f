/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The part of the dirty log that this binding writes. */
#ifndef VAS_KERNEL_DIRTY_H
#define VAS_KERNEL_DIRTY_H

#include <linux/types.h>

struct vas;

void vas_dirty_init(struct vas *vas);
void vas_dirty_clean(struct vas *vas);
int vas_dirty_prepare(struct vas *vas, u64 gpa, u64 len, u32 flags);
void vas_dirty_mark(struct vas *vas, u64 gpa, u64 len);
int vas_dirty_mark_left(struct vas *vas, u64 gpa, u64 len, u32 *allowance);

#endif
