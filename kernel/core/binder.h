/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A binding's binder entry in the control area, and the lock that keeps it alive. */
#ifndef VAS_KERNEL_BINDER_H
#define VAS_KERNEL_BINDER_H

#include <linux/types.h>

struct file;
struct vas;

int vas_binder_claim(struct vas *vas);
void vas_binder_release(struct vas *vas);
void vas_binder_reclaim(struct vas *vas);
bool vas_current_owns(struct file *file, u64 superblock_offset);

#endif
