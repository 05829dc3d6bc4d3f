/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What an owner does to all bindings of a file at once: take ranges away, freeze. */
#ifndef VAS_KERNEL_FREEZE_H
#define VAS_KERNEL_FREEZE_H

#include <linux/ktime.h>
#include <linux/types.h>

struct vas_ko_blocker;
struct vas_ko_range;
struct vas_inode_info;

int vas_inode_invalidate(struct vas_inode_info *info, const struct vas_ko_range *ranges, u32 nr,
			 ktime_t deadline, struct vas_ko_blocker *blocker);
void vas_inode_release(struct vas_inode_info *info);
int vas_inode_freeze(struct vas_inode_info *info, ktime_t deadline, struct vas_ko_blocker *blocker);
void vas_inode_thaw(struct vas_inode_info *info);

#endif
