// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The queues of one device, and what the owner of the guest's memory asks of them. */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "queue.h"

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
 * Return: as vas_bind(); -EACCES: it can only be read, and rings are written.
 */
int vas_queue_set_bind(struct vas_queue_set *set, int fd, const struct vas_ops *ops, u64 features)
{
	int err = vas_bind(fd, ops, set, &set->vas);

	if (err) {
		set->vas = NULL;
		return err;
	}
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

/* Halted before the set forgets it: vas_ops must not promise for a queue that they do not find. */
static void stop_queue(struct vas_queue_set *set, u32 index, struct vas_queue_stopped *stopped)
{
	struct vas_queue *queue = set->queues[index];

	vas_queue_halt(queue, stopped);
	set_queue(set, index, NULL);
	vas_queue_stop(queue);
}

/**
 * vas_queue_set_start - a queue begins to be served
 * @set: bound, or it is refused
 * @arg: struct vas_queue_start
 *
 * Return: 0; -EFAULT; -EINVAL: it makes no sense; -ENXIO: not bound; -EBUSY: it runs; -ENOMEM;
 * -EBADF, or what else its fds are.
 */
long vas_queue_set_start(struct vas_queue_set *set, const void __user *arg)
{
	struct vas_queue_start start;
	struct vas_queue *queue;
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
	queue = set->ops->alloc(set, start.index);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	err = vas_queue_start(queue, set, &start);
	if (err) {
		set->ops->free(queue);
		return err;
	}
	set_queue(set, start.index, queue);
	vas_queue_go(queue);
	return 0;
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
 * vas_queue_set_clean - all queues stop, and the binding ends
 * @set: may not be bound; afterwards it is as before vas_queue_set_bind()
 */
void vas_queue_set_clean(struct vas_queue_set *set)
{
	struct vas_queue_stopped unused;
	u32 i;

	for (i = 0; i < VAS_QUEUE_MAX; i++)
		if (set->queues[i])
			stop_queue(set, i, &unused);
	if (!set->vas)
		return;
	vas_put(set->vas);
	wait_for_completion(&set->released);
	set->vas = NULL;
	reinit_completion(&set->released);
}
EXPORT_SYMBOL_GPL(vas_queue_set_clean);

MODULE_DESCRIPTION("virtqueues in guests whose memory is a vas");
MODULE_LICENSE("Dual MIT/GPL");
