/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What an owner does to all bindings of a file at once: take ranges away, freeze. */
#ifndef VAS_KERNEL_FREEZE_H
#define VAS_KERNEL_FREEZE_H

#include <linux/ktime.h>
#include <linux/types.h>

struct vas_ko_blocker;
struct vas_ko_range;
struct vas_inode_info;

struct vas_drain;

/**
 * struct vas_inode_freeze - a freeze, from its beginning to its thaw
 * @drain: the sections from before; NULL: there is no freeze
 * @deadline: what holders are told
 * @asked_all: those, too, who came while sections were drained
 * @is_counted: it has succeeded, and was told of
 */
struct vas_inode_freeze {
	struct vas_drain *drain;
	ktime_t deadline;
	bool asked_all;
	bool is_counted;
};

void vas_inode_invalidate(struct vas_inode_info *info, const struct vas_ko_range *ranges, u32 nr,
			  ktime_t deadline);
bool vas_inode_is_released(struct vas_inode_info *info, struct vas_ko_blocker *blocker);
void vas_inode_release(struct vas_inode_info *info);

int vas_inode_freeze(struct vas_inode_info *info, struct vas_inode_freeze *freeze,
		     ktime_t deadline);
bool vas_inode_is_frozen(struct vas_inode_info *info, struct vas_inode_freeze *freeze,
			 struct vas_ko_blocker *blocker);
void vas_inode_thaw(struct vas_inode_info *info, struct vas_inode_freeze *freeze);

#endif
