// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* /dev/vas_blk: what the VMM sees. */
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/virtio_blk.h>

#include <linux/vas.h>

#include "queue.h"

static const struct vas_ops blk_ops = VAS_QUEUE_SET_OPS("vas_blk");

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
	disk->capacity = arg->capacity;
	disk->readonly = arg->features & 1ull << VIRTIO_BLK_F_RO;
	memcpy(disk->id, arg->id, sizeof(disk->id));
	err = vas_queue_set_bind(&target->set, arg->vas_fd, &blk_ops, arg->features);
	if (err)
		goto err_put_file;
	disk->vas = target->set.vas;
	return 0;
err_put_file:
	fput(disk->file);
	disk->file = NULL;
	return err;
}

static bool is_capacity(u64 capacity)
{
	return !(capacity % SECTOR_SIZE) && capacity <= MAX_LFS_FILESIZE;
}

static long ioctl_get_features(void __user *user)
{
	u64 features = VAS_BLK_FEATURES;

	return copy_to_user(user, &features, sizeof(features)) ? -EFAULT : 0;
}

static long ioctl_open(struct target *target, const void __user *user)
{
	struct vas_blk_open arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (target->disk.vas)
		return -EBUSY;
	if (arg.features & ~VAS_BLK_FEATURES || !is_capacity(arg.capacity) || arg.pad)
		return -EINVAL;
	return open_disk(target, &arg);
}

static long ioctl_set_features(struct target *target, const void __user *user)
{
	u64 features;

	if (copy_from_user(&features, user, sizeof(features)))
		return -EFAULT;
	if (!target->disk.vas)
		return -ENXIO;
	if (features & ~VAS_BLK_FEATURES)
		return -EINVAL;
	if (!vas_queue_set_is_idle(&target->set))
		return -EBUSY;
	target->set.features = features;
	return 0;
}

static long ioctl_set_capacity(struct target *target, const void __user *user)
{
	u64 capacity;

	if (copy_from_user(&capacity, user, sizeof(capacity)))
		return -EFAULT;
	if (!target->disk.vas)
		return -ENXIO;
	if (!is_capacity(capacity))
		return -EINVAL;
	WRITE_ONCE(target->disk.capacity, capacity);
	return 0;
}

static long do_ioctl(struct target *target, unsigned int cmd, void __user *user)
{
	switch (cmd) {
	case VAS_BLK_GET_FEATURES:
		return ioctl_get_features(user);
	case VAS_BLK_OPEN:
		return ioctl_open(target, user);
	case VAS_BLK_START:
		return vas_queue_set_start(&target->set, user);
	case VAS_BLK_STOP:
		return vas_queue_set_stop(&target->set, user);
	case VAS_BLK_OFFER:
		return vas_queue_set_offer(&target->set, user);
	case VAS_BLK_SET_FEATURES:
		return ioctl_set_features(target, user);
	case VAS_BLK_SET_CAPACITY:
		return ioctl_set_capacity(target, user);
	case VAS_BLK_KEEP:
		return vas_queue_set_keep(&target->set, user);
	case VAS_QUEUE_VIEW:
		return vas_queue_set_view(&target->set, user);
	default:
		return -ENOTTY;
	}
}

static long blk_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct target *target = file->private_data;
	void __user *user = (void __user *)arg;
	long result = vas_queue_view_ioctl(&target->set, cmd, user);

	if (result != -ENOTTY)
		return result;
	mutex_lock(&target->lock);
	result = do_ioctl(target, cmd, user);
	mutex_unlock(&target->lock);
	return result;
}

static __poll_t blk_poll(struct file *file, poll_table *table)
{
	struct target *target = file->private_data;

	return vas_queue_view_poll(&target->set, file, table);
}

static int blk_open(struct inode *inode, struct file *file)
{
	struct target *target = kzalloc(sizeof(*target), GFP_KERNEL_ACCOUNT);

	if (!target)
		return -ENOMEM;
	mutex_init(&target->lock);
	vas_queue_set_init(&target->set, &blk_queue_ops, "vas_blk");
	file->private_data = target;
	return 0;
}

static int blk_release(struct inode *inode, struct file *file)
{
	struct target *target = file->private_data;

	/* Whoever serves the guest next wants the disk's lock, which goes with its open file. */
	vas_queue_set_stop_all(&target->set);
	if (target->disk.file)
		fput(target->disk.file);
	vas_queue_set_clean(&target->set);
	kfree(target);
	return 0;
}

static const struct file_operations blk_fops = {
	.owner = THIS_MODULE,
	.open = blk_open,
	.release = blk_release,
	.unlocked_ioctl = blk_ioctl,
	.poll = blk_poll,
};

static struct miscdevice blk_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vas_blk",
	.fops = &blk_fops,
};

module_misc_device(blk_device);
MODULE_DESCRIPTION("virtio-blk for guests whose memory is a vas");
MODULE_LICENSE("Dual MIT/GPL");
