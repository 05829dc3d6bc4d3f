/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Guest memory that lies in the process that bound, and in no file. */
#ifndef VAS_KERNEL_LOCAL_H
#define VAS_KERNEL_LOCAL_H

#include <linux/types.h>

struct vas;
struct vas_region_entry;

void vas_local_init(struct vas *vas);
void vas_local_clean(struct vas *vas);
unsigned long vas_local_find(struct vas *vas, const struct vas_region_entry *region);
ssize_t vas_local_copy(struct vas *vas, unsigned long hva, void *buf, size_t len, u32 flags);

#endif
