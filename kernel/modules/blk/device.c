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

static long blk_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct target *target = file->private_data;
	void __user *user = (void __user *)arg;
	long result = vas_queue_view_ioctl(&target->set, cmd, user);

	if (result != -ENOTTY)
		return result;
	mutex_lock(&target->lock);
	if (cmd == VAS_BLK_OPEN)
		result = ioctl_open(target, user);
	else if (cmd == VAS_BLK_START)
		result = vas_queue_set_start(&target->set, user);
	else if (cmd == VAS_BLK_STOP)
		result = vas_queue_set_stop(&target->set, user);
	else if (cmd == VAS_BLK_OFFER)
		result = vas_queue_set_offer(&target->set, user);
	else if (cmd == VAS_QUEUE_VIEW)
		result = vas_queue_set_view(&target->set, user);
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

	vas_queue_set_clean(&target->set);
	if (target->disk.file)
		fput(target->disk.file);
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
