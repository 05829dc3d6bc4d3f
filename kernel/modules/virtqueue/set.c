// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The queues of one device, and what the owner of the guest's memory asks of them. */
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/virtio_config.h>

#include "queue.h"
#include "view.h"

/**
 * vas_queue_invalidate - struct vas_ops' invalidate
 * @priv: the set
 * @mapping: a ring's, or nobody's any more
 * @deadline: is kept: a queue's thread does a bounded number of things with its lock held
 */
void vas_queue_invalidate(void *priv, struct vas_mapping *mapping, ktime_t deadline)
{
	struct vas_queue_set *set = priv;
	int i;

	down_read(&set->lock);
	for (i = 0; i < VAS_QUEUE_MAX; i++)
		if (set->queues[i])
			vas_queue_unmap(set->queues[i], mapping);
	up_read(&set->lock);
}
EXPORT_SYMBOL_GPL(vas_queue_invalidate);

static void set_quiet(struct vas_queue_set *set, const struct vas_mapping *mapping, bool quiet)
{
	int i;

	down_read(&set->lock);
	for (i = 0; i < VAS_QUEUE_MAX; i++)
		if (set->queues[i])
			vas_queue_set_quiet(set->queues[i], mapping, quiet);
	up_read(&set->lock);
}

/**
 * vas_queue_quiesce - struct vas_ops' quiesce
 * @priv: the set
 * @mapping: one of a ring's
 * @deadline: is kept
 *
 * Return: 0.
 */
int vas_queue_quiesce(void *priv, struct vas_mapping *mapping, ktime_t deadline)
{
	set_quiet(priv, mapping, true);
	return 0;
}
EXPORT_SYMBOL_GPL(vas_queue_quiesce);

/**
 * vas_queue_resume - struct vas_ops' resume
 * @priv: the set
 * @mapping: one of a ring's
 */
void vas_queue_resume(void *priv, struct vas_mapping *mapping)
{
	set_quiet(priv, mapping, false);
}
EXPORT_SYMBOL_GPL(vas_queue_resume);

/**
 * vas_queue_released - struct vas_ops' release
 * @priv: the set
 */
void vas_queue_released(void *priv)
{
	struct vas_queue_set *set = priv;

	complete(&set->released);
}
EXPORT_SYMBOL_GPL(vas_queue_released);

/**
 * vas_queue_set_init - no queues yet
 * @set: the caller's, zeroed
 * @ops: the device
 * @name: of threads, "NAME-INDEX"
 */
void vas_queue_set_init(struct vas_queue_set *set, const struct vas_queue_ops *ops,
			const char *name)
{
	init_rwsem(&set->lock);
	init_completion(&set->released);
	init_waitqueue_head(&set->asked);
	set->ops = ops;
	set->name = name;
}
EXPORT_SYMBOL_GPL(vas_queue_set_init);

/**
 * vas_queue_set_bind - in whose memory the queues are
 * @set: not bound yet
 * @fd: a vas, of the calling process
 * @ops: VAS_QUEUE_SET_OPS()
 * @features: what the driver has accepted
 *
 * The open file stays open until vas_queue_set_clean() has stopped all queues.
 *
 * Return: as vas_bind(); -EACCES: it can only be read, and rings are written.
 */
int vas_queue_set_bind(struct vas_queue_set *set, int fd, const struct vas_ops *ops, u64 features)
{
	struct file *file = fget(fd);
	int err;

	if (!file)
		return -EBADF;
	err = vas_bind_file(file, ops, set, &set->vas);
	if (err) {
		set->vas = NULL;
		fput(file);
		return err;
	}
	set->file = file;
	if (vas_is_readonly(set->vas)) {
		vas_queue_set_clean(set);
		return -EACCES;
	}
	set->features = features;
	return 0;
}
EXPORT_SYMBOL_GPL(vas_queue_set_bind);

/**
 * vas_queue_set_offer - bring the fd of memory that is not in the vas's own file
 * @set: bound, or it is refused
 * @arg: __s32, the fd
 *
 * Return: -EFAULT; -ENXIO: not bound; or as vas_backing_offer().
 */
long vas_queue_set_offer(struct vas_queue_set *set, const void __user *arg)
{
	s32 fd;

	if (copy_from_user(&fd, arg, sizeof(fd)))
		return -EFAULT;
	return set->vas ? vas_backing_offer(set->vas, fd) : -ENXIO;
}
EXPORT_SYMBOL_GPL(vas_queue_set_offer);

static void set_queue(struct vas_queue_set *set, u32 index, struct vas_queue *queue)
{
	down_write(&set->lock);
	set->queues[index] = queue;
	up_write(&set->lock);
}

static void drop_kept(struct vas_queue_kept *kept)
{
	if (kept->page)
		unpin_user_pages_dirty_lock(&kept->page, 1, true);
	kept->page = NULL;
}

/* Nothing is in flight, so both places are the same one. */
static void write_place(struct vas_queue_kept *kept, u32 base)
{
	struct vas_queue_place *place;
	u16 used = base >> 16;

	if (!kept->page)
		return;
	place = kmap_local_page(kept->page) + kept->offset;
	WRITE_ONCE(place->used_idx, used & (VAS_PACKED_WRAP - 1));
	WRITE_ONCE(place->old_used_idx, used & (VAS_PACKED_WRAP - 1));
	WRITE_ONCE(place->used_wrap, !!(used & VAS_PACKED_WRAP));
	WRITE_ONCE(place->old_used_wrap, !!(used & VAS_PACKED_WRAP));
	kunmap_local(place);
	drop_kept(kept);
}

/* Halted before the set forgets it: vas_ops must not promise for a queue that they do not find. */
static void stop_queue(struct vas_queue_set *set, u32 index, struct vas_queue_stopped *stopped)
{
	struct vas_queue *queue = set->queues[index];

	vas_queue_halt(queue, stopped);
	write_place(&set->kept[index], stopped->base);
	set_queue(set, index, NULL);
	vas_queue_stop(queue);
}

static int start_queue(struct vas_queue_set *set, const struct vas_queue_start *start)
{
	struct vas_queue *queue = set->ops->alloc(set, start->index);
	int err;

	if (IS_ERR(queue))
		return PTR_ERR(queue);
	err = vas_queue_start(queue, set, start);
	if (err) {
		set->ops->free(queue);
		return err;
	}
	set_queue(set, start->index, queue);
	vas_queue_go(queue);
	return 0;
}

/**
 * vas_queue_set_start - a queue begins to be served
 * @set: bound, or it is refused
 * @arg: struct vas_queue_start
 *
 * A place that was to be kept for it is forgotten if it cannot be started.
 *
 * Return: 0; -EFAULT; -EINVAL: it makes no sense; -ENXIO: not bound, or its device is behind an
 * IOMMU and has no view; -EBUSY: it runs; -ENOMEM; -EBADF, or what else its fds are.
 */
long vas_queue_set_start(struct vas_queue_set *set, const void __user *arg)
{
	struct vas_queue_start start;
	int err;

	if (copy_from_user(&start, arg, sizeof(start)))
		return -EFAULT;
	if (start.index >= set->ops->max_queues)
		return -EINVAL;
	start.index = array_index_nospec(start.index, VAS_QUEUE_MAX);
	if (!set->vas)
		return -ENXIO;
	if (set->queues[start.index])
		return -EBUSY;
	err = start_queue(set, &start);
	if (err)
		drop_kept(&set->kept[start.index]);
	return err;
}
EXPORT_SYMBOL_GPL(vas_queue_set_start);

/**
 * vas_queue_set_stop - a queue is served no more
 * @set: its
 * @arg: struct vas_queue_stopped, which is filled in
 *
 * What was taken has been answered.
 *
 * Return: 0; -EFAULT; -EINVAL: no such queue; -ENOENT: it does not run.
 */
long vas_queue_set_stop(struct vas_queue_set *set, void __user *arg)
{
	struct vas_queue_stopped stopped;

	if (copy_from_user(&stopped, arg, sizeof(stopped)))
		return -EFAULT;
	if (stopped.index >= set->ops->max_queues)
		return -EINVAL;
	stopped.index = array_index_nospec(stopped.index, VAS_QUEUE_MAX);
	if (!set->queues[stopped.index])
		return -ENOENT;
	stop_queue(set, stopped.index, &stopped);
	return copy_to_user(arg, &stopped, sizeof(stopped)) ? -EFAULT : 0;
}
EXPORT_SYMBOL_GPL(vas_queue_set_stop);

/**
 * vas_queue_set_keep - have a queue's place written when it stops
 * @set: of a driver with packed rings
 * @arg: struct vas_queue_keep, for the queue that is started next
 *
 * Return: 0; -EFAULT: nor can it be written; -EINVAL: it makes no sense; -EBUSY: the queue runs;
 * or another error of the memory's.
 */
long vas_queue_set_keep(struct vas_queue_set *set, const void __user *arg)
{
	struct vas_queue_kept kept;
	struct vas_queue_keep keep;
	int nr;

	if (copy_from_user(&keep, arg, sizeof(keep)))
		return -EFAULT;
	kept.offset = offset_in_page(keep.place);
	if (keep.index >= set->ops->max_queues || keep.pad ||
	    kept.offset % __alignof__(struct vas_queue_place) ||
	    kept.offset + sizeof(struct vas_queue_place) > PAGE_SIZE ||
	    !(set->features & 1ull << VIRTIO_F_RING_PACKED))
		return -EINVAL;
	keep.index = array_index_nospec(keep.index, VAS_QUEUE_MAX);
	if (set->queues[keep.index])
		return -EBUSY;
	nr = pin_user_pages_fast(keep.place & PAGE_MASK, 1, FOLL_WRITE | FOLL_LONGTERM, &kept.page);
	if (nr != 1)
		return nr < 0 ? nr : -EFAULT;
	drop_kept(&set->kept[keep.index]);
	set->kept[keep.index] = kept;
	return 0;
}
EXPORT_SYMBOL_GPL(vas_queue_set_keep);

/**
 * vas_queue_set_is_idle - whether the features may be others from now on
 * @set: its
 *
 * Return: true if no queue runs.
 */
bool vas_queue_set_is_idle(const struct vas_queue_set *set)
{
	u32 i;

	for (i = 0; i < VAS_QUEUE_MAX; i++)
		if (set->queues[i])
			return false;
	return true;
}
EXPORT_SYMBOL_GPL(vas_queue_set_is_idle);

/**
 * vas_queue_set_stop_all - no queue is served any more
 * @set: its
 *
 * Others do not know yet: see @file of the set. What they must not find goes between this and
 * vas_queue_set_clean().
 */
void vas_queue_set_stop_all(struct vas_queue_set *set)
{
	struct vas_queue_stopped unused;
	u32 i;

	for (i = 0; i < VAS_QUEUE_MAX; i++) {
		if (set->queues[i])
			stop_queue(set, i, &unused);
		drop_kept(&set->kept[i]);
	}
}
EXPORT_SYMBOL_GPL(vas_queue_set_stop_all);

/**
 * vas_queue_set_clean - all queues stop, and the binding ends
 * @set: may not be bound; afterwards it is as before vas_queue_set_bind()
 */
void vas_queue_set_clean(struct vas_queue_set *set)
{
	vas_queue_set_stop_all(set);
	if (!set->vas)
		return;
	vas_put(set->vas);
	wait_for_completion(&set->released);
	set->vas = NULL;
	reinit_completion(&set->released);
	fput(set->file);
	set->file = NULL;
	view_destroy(set->view);
	set->view = NULL;
}
EXPORT_SYMBOL_GPL(vas_queue_set_clean);

MODULE_DESCRIPTION("virtqueues in guests whose memory is a vas");
MODULE_LICENSE("Dual MIT/GPL");
