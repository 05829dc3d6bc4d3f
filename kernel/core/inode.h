/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What all bindings to one file have in common, so that its owner can reach all of them at once. */
#ifndef VAS_KERNEL_INODE_H
#define VAS_KERNEL_INODE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>
#include <linux/wait.h>

struct inode;
struct vas;
struct vas_ko_range;

/**
 * struct vas_inode_info - one vas, as this kernel's modules know it
 * @srcu: protects the views of all bindings, and is what a freeze waits for, so that it never waits
 *	for another vas's sections. First, as each section takes it
 * @node: link in the list of all files; like @refs, under vas_inodes_lock
 * @refs: bindings, and an open /dev/vas
 * @inode: of the file; whoever has a reference to this struct holds the file open
 * @lock: protects all that follows but @wait, and the mappings' requests
 * @bindings: all bindings
 * @mappings: all maps of all bindings
 * @wanted: ranges that a change is about to take away: no new maps there
 * @nr_wanted: how many
 * @frozen: an owner has frozen us through /dev/vas; read without the lock, too, by sections
 * @has_device_file: an open /dev/vas is attached
 * @wait: woken when a map has gone or answered
 */
struct vas_inode_info {
	struct srcu_struct srcu;
	struct list_head node;
	unsigned int refs;
	struct inode *inode;
	spinlock_t lock;
	struct list_head bindings;
	struct list_head mappings;
	const struct vas_ko_range *wanted;
	u32 nr_wanted;
	bool frozen;
	bool has_device_file;
	wait_queue_head_t wait;
};

extern struct mutex vas_inodes_lock;
extern struct list_head vas_inodes;

struct vas_inode_info *vas_inode_get(struct inode *inode);
void vas_inode_put(struct vas_inode_info *info);
void vas_inode_add(struct vas_inode_info *info, struct vas *vas);
void vas_inode_remove(struct vas_inode_info *info, struct vas *vas);
bool vas_inode_is_invalid(const struct vas_inode_info *info, u64 gpa, u64 len);
int vas_inode_open_device(struct vas_inode_info *info);
void vas_inode_close_device(struct vas_inode_info *info);
void vas_inode_count(struct vas_inode_info *info, u32 *nr_bindings, u32 *nr_mappings);

#endif
