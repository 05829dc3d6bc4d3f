// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "inode.h"

#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include <uapi/linux/vas.h>

#include "binding.h"
#include "core/range.h"

DEFINE_MUTEX(vas_inodes_lock);
LIST_HEAD(vas_inodes);

static u32 list_count(const struct list_head *list)
{
	const struct list_head *at;
	u32 nr = 0;

	list_for_each(at, list) nr++;
	return nr;
}

static struct vas_inode_info *find_locked(const struct inode *inode)
{
	struct vas_inode_info *info;

	list_for_each_entry(info, &vas_inodes, node)
		if (info->inode == inode)
			return info;
	return NULL;
}

static struct vas_inode_info *create_locked(struct inode *inode)
{
	struct vas_inode_info *info = kzalloc(sizeof(*info), GFP_KERNEL_ACCOUNT);

	if (!info)
		return NULL;
	if (init_srcu_struct(&info->srcu)) {
		kfree(info);
		return NULL;
	}
	info->inode = inode;
	spin_lock_init(&info->lock);
	INIT_LIST_HEAD(&info->bindings);
	INIT_LIST_HEAD(&info->mappings);
	init_waitqueue_head(&info->wait);
	list_add_tail(&info->node, &vas_inodes);
	return info;
}

/* The state of a file that the caller holds open; NULL: no memory. May sleep. */
struct vas_inode_info *vas_inode_get(struct inode *inode)
{
	struct vas_inode_info *info;

	mutex_lock(&vas_inodes_lock);
	info = find_locked(inode);
	if (!info)
		info = create_locked(inode);
	if (info)
		info->refs++;
	mutex_unlock(&vas_inodes_lock);
	return info;
}

/* Nobody is in a section any more, but views and drains may still wait for those that were. */
static void destroy(struct vas_inode_info *info)
{
	srcu_barrier(&info->srcu);
	cleanup_srcu_struct(&info->srcu);
	kfree(info);
}

/* May sleep. */
void vas_inode_put(struct vas_inode_info *info)
{
	bool last;

	mutex_lock(&vas_inodes_lock);
	last = !--info->refs;
	if (last)
		list_del(&info->node);
	mutex_unlock(&vas_inodes_lock);
	if (last)
		destroy(info);
}

void vas_inode_add(struct vas_inode_info *info, struct vas *vas)
{
	spin_lock(&info->lock);
	list_add_tail(&vas->in_inode, &info->bindings);
	spin_unlock(&info->lock);
}

void vas_inode_remove(struct vas_inode_info *info, struct vas *vas)
{
	spin_lock(&info->lock);
	list_del(&vas->in_inode);
	spin_unlock(&info->lock);
}

/* The first wanted range that ends after gpa, as an index; nr_wanted if there is none. */
static u32 find_wanted(const struct vas_inode_info *info, u64 gpa)
{
	u32 low = 0, high = info->nr_wanted;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (info->wanted[middle].gpa + info->wanted[middle].size <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A change that is under way takes away some of the range; info->lock is held. */
bool vas_inode_is_invalid(const struct vas_inode_info *info, u64 gpa, u64 len)
{
	u32 i = find_wanted(info, gpa);

	return i < info->nr_wanted &&
	       vas_ranges_overlap(gpa, len, info->wanted[i].gpa, info->wanted[i].size);
}

/* Become the only /dev/vas of the file: -EBUSY if there is one. */
int vas_inode_open_device(struct vas_inode_info *info)
{
	int err = 0;

	spin_lock(&info->lock);
	if (info->has_device_file)
		err = -EBUSY;
	info->has_device_file = true;
	spin_unlock(&info->lock);
	return err;
}

void vas_inode_close_device(struct vas_inode_info *info)
{
	spin_lock(&info->lock);
	info->has_device_file = false;
	spin_unlock(&info->lock);
}

void vas_inode_count(struct vas_inode_info *info, u32 *nr_bindings, u32 *nr_mappings)
{
	spin_lock(&info->lock);
	*nr_bindings = list_count(&info->bindings);
	*nr_mappings = list_count(&info->mappings);
	spin_unlock(&info->lock);
}
