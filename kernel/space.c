// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "space.h"

#include <linux/mutex.h>
#include <linux/slab.h>

#include <uapi/linux/vas.h>

#include "binding.h"
#include "core/range.h"

DEFINE_MUTEX(vas_spaces_lock);
LIST_HEAD(vas_spaces);

static u32 list_count(const struct list_head *list)
{
	const struct list_head *at;
	u32 nr = 0;

	list_for_each(at, list)
		nr++;
	return nr;
}

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

/* The first wanted range that ends after gpa, as an index; nr_wanted if there is none. */
static u32 find_wanted(const struct vas_space *space, u64 gpa)
{
	u32 low = 0, high = space->nr_wanted;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (space->wanted[middle].gpa + space->wanted[middle].size <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A change that is under way takes away some of the range; the space's lock is held. */
bool vas_space_wants(const struct vas_space *space, u64 gpa, u64 len)
{
	u32 i = find_wanted(space, gpa);

	return i < space->nr_wanted &&
	       vas_ranges_overlap(gpa, len, space->wanted[i].gpa, space->wanted[i].size);
}

/* Become the only driver: -EBUSY if there is one. */
int vas_space_drive(struct vas_space *space)
{
	int err = 0;

	spin_lock(&space->lock);
	if (space->has_driver)
		err = -EBUSY;
	space->has_driver = true;
	spin_unlock(&space->lock);
	return err;
}

void vas_space_undrive(struct vas_space *space)
{
	spin_lock(&space->lock);
	space->has_driver = false;
	spin_unlock(&space->lock);
}

void vas_space_count(struct vas_space *space, u32 *nr_bindings, u32 *nr_mappings)
{
	spin_lock(&space->lock);
	*nr_bindings = list_count(&space->bindings);
	*nr_mappings = list_count(&space->mappings);
	spin_unlock(&space->lock);
}
