/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What all bindings to one file have in common, so that its owner can ask all of them at once. */
#ifndef VAS_KERNEL_SPACE_H
#define VAS_KERNEL_SPACE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

struct inode;
struct vas;
struct vas_ko_range;

/**
 * struct vas_space - one vas, as this kernel's modules know it
 * @node: link in the list of all spaces; like @refs, under vas_spaces_lock
 * @refs: bindings and drivers
 * @inode: of the file; whoever has a reference to the space holds the file open
 * @lock: protects all that follows but @wait, and what the mappings are asked
 * @bindings: all bindings
 * @mappings: all maps of all bindings
 * @wanted: ranges that a change is about to take away: no new maps there
 * @nr_wanted: how many
 * @frozen: an owner has frozen us through /dev/vas; read without the lock, too, by sections
 * @has_driver: somebody drives this space
 * @wait: woken when a map has gone or answered
 */
struct vas_space {
	struct list_head node;
	unsigned int refs;
	struct inode *inode;
	spinlock_t lock;
	struct list_head bindings;
	struct list_head mappings;
	const struct vas_ko_range *wanted;
	u32 nr_wanted;
	bool frozen;
	bool has_driver;
	wait_queue_head_t wait;
};

extern struct mutex vas_spaces_lock;
extern struct list_head vas_spaces;

struct vas_space *vas_space_get(struct inode *inode);
void vas_space_put(struct vas_space *space);
void vas_space_add(struct vas_space *space, struct vas *vas);
void vas_space_remove(struct vas_space *space, struct vas *vas);
bool vas_space_wants(const struct vas_space *space, u64 gpa, u64 len);
int vas_space_drive(struct vas_space *space);
void vas_space_undrive(struct vas_space *space);
void vas_space_count(struct vas_space *space, u32 *nr_bindings, u32 *nr_mappings);

#endif
