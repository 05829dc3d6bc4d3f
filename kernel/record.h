/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A binding's record in the control area, and the lock that keeps it alive. */
#ifndef VAS_KERNEL_RECORD_H
#define VAS_KERNEL_RECORD_H

#include <linux/types.h>

struct file;
struct vas;

int vas_record_claim(struct vas *vas);
void vas_record_release(struct vas *vas);
void vas_record_reclaim(struct vas *vas);
bool vas_current_owns(struct file *file, u64 superblock_offset);

#endif
