// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "space.h"

#include <linux/mutex.h>
#include <linux/slab.h>

#include <uapi/linux/vas.h>

#include "binding.h"
#include "core/range.h"

DEFINE_MUTEX(vas_spaces_lock);
LIST_HEAD(vas_spaces);

static struct vas_space *find_locked(const struct inode *inode)
{
	struct vas_space *space;

	list_for_each_entry(space, &vas_spaces, node)
		if (space->inode == inode)
			return space;
	return NULL;
}

static struct vas_space *create_locked(struct inode *inode)
{
	struct vas_space *space = kzalloc(sizeof(*space), GFP_KERNEL_ACCOUNT);

	if (!space)
		return NULL;
	space->inode = inode;
	spin_lock_init(&space->lock);
	INIT_LIST_HEAD(&space->bindings);
	INIT_LIST_HEAD(&space->mappings);
	init_waitqueue_head(&space->wait);
	list_add_tail(&space->node, &vas_spaces);
	return space;
}

/* The space of a file that the caller holds open; NULL: no memory. May sleep. */
struct vas_space *vas_space_get(struct inode *inode)
{
	struct vas_space *space;

	mutex_lock(&vas_spaces_lock);
	space = find_locked(inode);
	if (!space)
		space = create_locked(inode);
	if (space)
		space->refs++;
	mutex_unlock(&vas_spaces_lock);
	return space;
}

void vas_space_put(struct vas_space *space)
{
	mutex_lock(&vas_spaces_lock);
	if (!--space->refs) {
		list_del(&space->node);
		kfree(space);
	}
	mutex_unlock(&vas_spaces_lock);
}

void vas_space_add(struct vas_space *space, struct vas *vas)
{
	spin_lock(&space->lock);
	list_add_tail(&vas->in_space, &space->bindings);
	spin_unlock(&space->lock);
}

void vas_space_remove(struct vas_space *space, struct vas *vas)
{
	spin_lock(&space->lock);
	list_del(&vas->in_space);
	spin_unlock(&space->lock);
}

/* A change that is under way takes away some of the range; the space's lock is held. */
bool vas_space_wants(const struct vas_space *space, u64 gpa, u64 len)
{
	u32 i;

	for (i = 0; i < space->nr_wanted; i++)
		if (vas_ranges_overlap(gpa, len, space->wanted[i].gpa, space->wanted[i].size))
			return true;
	return false;
}
