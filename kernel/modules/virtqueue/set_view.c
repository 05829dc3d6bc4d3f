// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What the user of a device says of its IOMMU, and is asked, and what he may look at any time:
 * vas_queue.h. By the device's file, and without the device's lock: an invalidation may have to
 * wait for a section.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "queue.h"
#include "view.h"

/**
 * vas_queue_set_view - the device gets a view
 * @set: bound, or it is refused
 * @arg: struct vas_queue_view
 *
 * Excluded from vas_queue_set_start() by the caller's lock.
 *
 * Return: 0; -EFAULT; -EINVAL; -ENXIO: not bound; -EEXIST: it has one; -ENOMEM.
 */
long vas_queue_set_view(struct vas_queue_set *set, const void __user *arg)
{
	struct vas_queue_view options;
	struct view *view;

	if (copy_from_user(&options, arg, sizeof(options)))
		return -EFAULT;
	if (!options.max_entries || options.max_entries > VAS_QUEUE_MAX_ENTRIES ||
	    options.flags & ~VAS_QUEUE_NO_DEADLINE)
		return -EINVAL;
	if (!set->vas)
		return -ENXIO;
	if (set->view)
		return -EEXIST;
	view = view_create(&options, &set->asked);
	if (!view)
		return -ENOMEM;
	/* Partner: get_view(). */
	smp_store_release(&set->view, view);
	return 0;
}
EXPORT_SYMBOL_GPL(vas_queue_set_view);

/* It stays as long as the file. */
static struct view *get_view(struct vas_queue_set *set)
{
	return smp_load_acquire(&set->view);
}

static int map_one(struct view *view, const struct vas_queue_map __user *arg)
{
	struct vas_queue_map map;

	if (copy_from_user(&map, arg, sizeof(map)))
		return -EFAULT;
	return map.pad ? -EINVAL : view_map(view, map.iova, map.size, map.gpa, map.prot);
}

static long ioctl_map(struct view *view, struct vas_queue_maps __user *arg)
{
	struct vas_queue_maps maps;
	u32 i;
	int err = 0;

	if (copy_from_user(&maps, arg, sizeof(maps)))
		return -EFAULT;
	if (maps.nr > VAS_QUEUE_MAX_MAPS || maps.pad)
		return -EINVAL;
	for (i = 0; i < maps.nr; i++) {
		err = fatal_signal_pending(current) ?
			      -EINTR :
			      map_one(view,
				      (struct vas_queue_map __user *)u64_to_user_ptr(maps.maps) +
					      i);
		if (err)
			break;
		cond_resched();
	}
	return put_user(i, &arg->nr) ? -EFAULT : err;
}

/*
 * I1 and I2: entries go, and the generation is counted up. I4: a queue that somebody has since
 * before is waited for; its gate is the barrier between the two.
 */
static int unmap(struct vas_queue_set *set, struct view *view, const struct vas_queue_unmap *arg)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(arg->timeout_ms);
	u64 generation = view_unmap(view, arg->iova, arg->size);
	int i, err = 0;

	down_read(&set->lock);
	for (i = 0; i < VAS_QUEUE_MAX && !err; i++)
		if (set->queues[i])
			err = vas_queue_wait_for_section(set->queues[i], generation, deadline);
	up_read(&set->lock);
	return err;
}

static long ioctl_unmap(struct vas_queue_set *set, struct view *view, const void __user *user)
{
	struct vas_queue_unmap arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.timeout_ms > VAS_QUEUE_MAX_WAIT_MS || arg.pad)
		return -EINVAL;
	return unmap(set, view, &arg);
}

static long ioctl_refuse(struct view *view, const void __user *user)
{
	u64 iova;

	if (copy_from_user(&iova, user, sizeof(iova)))
		return -EFAULT;
	view_refuse(view, iova);
	return 0;
}

/* There are never more than VIEW_MISSES. One that cannot be written is as one without an answer. */
static long ioctl_misses(struct view *view, struct vas_queue_misses __user *arg)
{
	struct vas_queue_misses misses;
	struct vas_queue_miss miss = {};
	u32 i, max, write;
	int err = 0;

	if (copy_from_user(&misses, arg, sizeof(misses)))
		return -EFAULT;
	if (misses.pad)
		return -EINVAL;
	max = min_t(u32, misses.nr, VIEW_MISSES);
	for (i = 0; i < max && view_tell(view, &miss.iova, &write); i++) {
		struct vas_queue_miss __user *to = u64_to_user_ptr(misses.misses);

		miss.prot = write ? VAS_QUEUE_WRITE : VAS_QUEUE_READ;
		if (copy_to_user(to + i, &miss, sizeof(miss))) {
			err = -EFAULT;
			break;
		}
	}
	return put_user(i, &arg->nr) ? -EFAULT : err;
}

static long ioctl_count(struct vas_queue_set *set, void __user *user)
{
	const struct vas_queue *queue;
	struct vas_queue_count arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.index >= VAS_QUEUE_MAX || arg.pad)
		return -EINVAL;
	down_read(&set->lock);
	queue = set->queues[array_index_nospec(arg.index, VAS_QUEUE_MAX)];
	arg.nr_requests = queue ? READ_ONCE(queue->nr_requests) : 0;
	up_read(&set->lock);
	if (!queue)
		return -ENOENT;
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : 0;
}

/**
 * vas_queue_view_ioctl - the calls that are the same for any device, and take no lock of its
 * @set: the device's
 * @cmd: as of an ioctl
 * @arg: the same
 *
 * Return: as vas_queue.h says; -ENOTTY: it is another call.
 */
long vas_queue_view_ioctl(struct vas_queue_set *set, unsigned int cmd, void __user *arg)
{
	struct view *view = get_view(set);

	switch (cmd) {
	case VAS_QUEUE_MAP:
		return view ? ioctl_map(view, arg) : -ENXIO;
	case VAS_QUEUE_UNMAP:
		return view ? ioctl_unmap(set, view, arg) : -ENXIO;
	case VAS_QUEUE_REFUSE:
		return view ? ioctl_refuse(view, arg) : -ENXIO;
	case VAS_QUEUE_MISSES:
		return view ? ioctl_misses(view, arg) : -ENXIO;
	case VAS_QUEUE_COUNT:
		return ioctl_count(set, arg);
	default:
		return -ENOTTY;
	}
}
EXPORT_SYMBOL_GPL(vas_queue_view_ioctl);

/**
 * vas_queue_view_poll - are there misses to be told?
 * @set: the device's
 * @file: its file
 * @table: of the poll
 *
 * Return: EPOLLIN if there are.
 */
__poll_t vas_queue_view_poll(struct vas_queue_set *set, struct file *file,
			     struct poll_table_struct *table)
{
	struct view *view;

	poll_wait(file, &set->asked, table);
	view = get_view(set);
	return view && view_has_misses(view) ? EPOLLIN | EPOLLRDNORM : 0;
}
EXPORT_SYMBOL_GPL(vas_queue_view_poll);
