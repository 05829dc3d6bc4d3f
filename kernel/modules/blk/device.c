// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* /dev/vas_blk: what the VMM sees. */
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/virtio_blk.h>

#include <linux/vas.h>

#include "queue.h"

/**
 * struct target - one virtio-blk device
 * @lock: one ioctl at a time
 * @disk: what it serves; .vas is NULL before VAS_BLK_OPEN
 * @features: as negotiated
 * @queues_lock: protects @queues; the ops read it, so it is not held where a queue stops
 * @queues: those that run
 * @released: the binding has ended
 */
struct target {
	struct mutex lock;
	struct disk disk;
	u64 features;
	struct rw_semaphore queues_lock;
	struct queue *queues[VAS_BLK_MAX_QUEUES];
	struct completion released;
};

static void blk_invalidate(void *priv, struct vas_mapping *mapping, ktime_t deadline)
{
	struct target *target = priv;
	int i;

	down_read(&target->queues_lock);
	for (i = 0; i < VAS_BLK_MAX_QUEUES; i++)
		if (target->queues[i])
			queue_invalidate(target->queues[i], mapping);
	up_read(&target->queues_lock);
}

/* Each queue has one writable map, of which it is asked; all of them are quiet at the first one. */
static void set_quiet(struct target *target, bool quiet)
{
	int i;

	down_read(&target->queues_lock);
	for (i = 0; i < VAS_BLK_MAX_QUEUES; i++)
		if (target->queues[i])
			queue_quiet(target->queues[i], quiet);
	up_read(&target->queues_lock);
}

static int blk_quiesce(void *priv, struct vas_mapping *mapping, ktime_t deadline)
{
	set_quiet(priv, true);
	return 0;
}

static void blk_resume(void *priv, struct vas_mapping *mapping)
{
	set_quiet(priv, false);
}

static void blk_released(void *priv)
{
	struct target *target = priv;

	complete(&target->released);
}

static const struct vas_ops blk_ops = {
	.owner = THIS_MODULE,
	.name = "vas_blk",
	.invalidate = blk_invalidate,
	.quiesce = blk_quiesce,
	.resume = blk_resume,
	.release = blk_released,
};

static struct queue *set_queue(struct target *target, u32 index, struct queue *queue)
{
	struct queue *old;

	down_write(&target->queues_lock);
	old = target->queues[index];
	target->queues[index] = queue;
	up_write(&target->queues_lock);
	return old;
}

static int check_file(const struct file *file, const struct vas_blk_open *arg)
{
	const struct inode *inode = file_inode(file);

	if (!S_ISREG(inode->i_mode) && !S_ISBLK(inode->i_mode))
		return -EINVAL;
	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (!(file->f_mode & FMODE_WRITE) && !(arg->features & 1ull << VIRTIO_BLK_F_RO))
		return -EACCES;
	return 0;
}

static int open_disk(struct target *target, const struct vas_blk_open *arg)
{
	struct disk *disk = &target->disk;
	int err;

	disk->file = fget(arg->file_fd);
	if (!disk->file)
		return -EBADF;
	err = check_file(disk->file, arg);
	if (err)
		goto err_put_file;
	init_completion(&target->released);
	disk->capacity = arg->capacity;
	disk->readonly = arg->features & 1ull << VIRTIO_BLK_F_RO;
	memcpy(disk->id, arg->id, sizeof(disk->id));
	target->features = arg->features;
	err = vas_bind(arg->vas_fd, &blk_ops, target, &disk->vas);
	if (err)
		goto err_put_file;
	return 0;
err_put_file:
	fput(disk->file);
	disk->vas = NULL;
	return err;
}

static long ioctl_open(struct target *target, const void __user *user)
{
	struct vas_blk_open arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (target->disk.vas)
		return -EBUSY;
	if (arg.features & ~VAS_BLK_FEATURES || arg.capacity % SECTOR_SIZE ||
	    arg.capacity > MAX_LFS_FILESIZE || arg.pad)
		return -EINVAL;
	return open_disk(target, &arg);
}

static long ioctl_start(struct target *target, const void __user *user)
{
	struct vas_blk_queue config;
	struct queue *queue;

	if (copy_from_user(&config, user, sizeof(config)))
		return -EFAULT;
	if (config.index >= VAS_BLK_MAX_QUEUES || config.pad)
		return -EINVAL;
	if (!target->disk.vas)
		return -ENXIO;
	if (target->queues[config.index])
		return -EBUSY;
	queue = queue_start(&target->disk, target->features, &config);
	if (IS_ERR(queue))
		return PTR_ERR(queue);
	set_queue(target, config.index, queue);
	return 0;
}

static long ioctl_stop(struct target *target, void __user *user)
{
	struct vas_blk_stopped stopped;
	struct queue *queue;

	if (copy_from_user(&stopped, user, sizeof(stopped)))
		return -EFAULT;
	if (stopped.index >= VAS_BLK_MAX_QUEUES)
		return -EINVAL;
	queue = set_queue(target, stopped.index, NULL);
	if (!queue)
		return -ENOENT;
	queue_halt(queue, &stopped);
	queue_stop(queue);
	return copy_to_user(user, &stopped, sizeof(stopped)) ? -EFAULT : 0;
}

static long blk_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct target *target = file->private_data;
	void __user *user = (void __user *)arg;
	long result = -ENOTTY;

	mutex_lock(&target->lock);
	if (cmd == VAS_BLK_OPEN)
		result = ioctl_open(target, user);
	else if (cmd == VAS_BLK_START)
		result = ioctl_start(target, user);
	else if (cmd == VAS_BLK_STOP)
		result = ioctl_stop(target, user);
	mutex_unlock(&target->lock);
	return result;
}

static int blk_open(struct inode *inode, struct file *file)
{
	struct target *target = kzalloc(sizeof(*target), GFP_KERNEL_ACCOUNT);

	if (!target)
		return -ENOMEM;
	mutex_init(&target->lock);
	init_rwsem(&target->queues_lock);
	file->private_data = target;
	return 0;
}

static int blk_release(struct inode *inode, struct file *file)
{
	struct target *target = file->private_data;
	u32 i;

	for (i = 0; i < VAS_BLK_MAX_QUEUES; i++) {
		struct queue *queue = set_queue(target, i, NULL);

		if (queue)
			queue_stop(queue);
	}
	if (target->disk.vas) {
		vas_put(target->disk.vas);
		wait_for_completion(&target->released);
		fput(target->disk.file);
	}
	kfree(target);
	return 0;
}

static const struct file_operations blk_fops = {
	.owner = THIS_MODULE,
	.open = blk_open,
	.release = blk_release,
	.unlocked_ioctl = blk_ioctl,
};

static struct miscdevice blk_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vas_blk",
	.fops = &blk_fops,
};

module_misc_device(blk_device);
MODULE_DESCRIPTION("virtio-blk for guests whose memory is a vas");
MODULE_LICENSE("Dual MIT/GPL");
