// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* /dev/vas: the owner's ioctls, as <uapi/linux/vas.h> tells them. */
#include "device_file.h"

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <uapi/linux/vas.h>

#include "alloc.h"
#include "backing.h"
#include "freeze.h"
#include "mapping.h"
#include "proto.h"
#include "inode.h"

/**
 * struct attachment - an open /dev/vas
 * @lock: one ioctl at a time
 * @backing: the owner's file, opened again; .file is NULL before VAS_KO_ATTACH
 * @info: of the file that it is attached to
 * @ranges: of the change that is prepared, or NULL
 * @frozen: VAS_KO_FREEZE has succeeded
 */
struct attachment {
	struct mutex lock;
	struct vas_backing backing;
	struct vas_inode_info *info;
	struct vas_ko_range *ranges;
	bool frozen;
};

static int device_open(struct inode *inode, struct file *file)
{
	struct attachment *attachment = kzalloc(sizeof(*attachment), GFP_KERNEL_ACCOUNT);

	if (!attachment)
		return -ENOMEM;
	mutex_init(&attachment->lock);
	file->private_data = attachment;
	return 0;
}

static void give_back(struct attachment *attachment)
{
	if (!attachment->ranges)
		return;
	vas_inode_release(attachment->info);
	kvfree(attachment->ranges);
	attachment->ranges = NULL;
}

static void thaw(struct attachment *attachment)
{
	if (attachment->frozen)
		vas_inode_thaw(attachment->info);
	attachment->frozen = false;
}

static int device_release(struct inode *inode, struct file *file)
{
	struct attachment *attachment = file->private_data;

	if (attachment->info) {
		give_back(attachment);
		thaw(attachment);
		vas_inode_close_device(attachment->info);
		vas_inode_put(attachment->info);
		vas_backing_close(&attachment->backing);
	}
	kfree(attachment);
	return 0;
}

/* Become the file's only /dev/vas. */
static int take_inode(struct attachment *attachment)
{
	struct vas_inode_info *info = vas_inode_get(file_inode(attachment->backing.file));
	int err;

	if (!info)
		return -ENOMEM;
	err = vas_inode_open_device(info);
	if (err) {
		vas_inode_put(info);
		return err;
	}
	attachment->info = info;
	return 0;
}

static int attach_file(struct attachment *attachment, struct file *file)
{
	int err;

	err = vas_backing_open(&attachment->backing, file, VAS_OPEN_READONLY | VAS_OPEN_SEALED);
	if (err)
		return err;
	err = -EPERM;
	if (attachment->backing.size >= sizeof(struct vas_superblock) &&
	    vas_current_owns(file, attachment->backing.size - sizeof(struct vas_superblock)))
		err = take_inode(attachment);
	if (err)
		vas_backing_close(&attachment->backing);
	return err;
}

static long ioctl_attach(struct attachment *attachment, const void __user *user)
{
	struct vas_ko_attach attach;
	struct file *file;
	int err;

	if (attachment->info)
		return -EEXIST;
	if (copy_from_user(&attach, user, sizeof(attach)))
		return -EFAULT;
	if (attach.flags)
		return -EINVAL;
	file = fget(attach.fd);
	if (!file)
		return -EBADF;
	err = attach_file(attachment, file);
	fput(file);
	return err;
}

static ktime_t deadline_of(u64 timeout_ns)
{
	return ktime_add_safe(ktime_get(), min_t(u64, timeout_ns, KTIME_MAX));
}

/* Sorted, none empty, no two with a byte in common. */
static int check_ranges(const struct vas_ko_range *ranges, u32 nr)
{
	u64 end = 0;
	u32 i;

	for (i = 0; i < nr; i++) {
		if (!ranges[i].size || ranges[i].gpa < end || ranges[i].size > VAS_MAX_GPA ||
		    ranges[i].gpa > VAS_MAX_GPA - ranges[i].size)
			return -EINVAL;
		end = ranges[i].gpa + ranges[i].size;
	}
	return 0;
}

static int read_ranges(const struct vas_ko_prepare *prepare, struct vas_ko_range **ranges)
{
	int err;

	if (prepare->flags || prepare->nr > VAS_KO_MAX_RANGES)
		return -EINVAL;
	*ranges = kvmalloc_array(max(prepare->nr, 1u), sizeof(**ranges), VAS_GFP_LARGE);
	if (!*ranges)
		return -ENOMEM;
	err = -EFAULT;
	if (!copy_from_user(*ranges, u64_to_user_ptr(prepare->ranges),
			    prepare->nr * sizeof(**ranges)))
		err = check_ranges(*ranges, prepare->nr);
	if (err)
		kvfree(*ranges);
	return err;
}

static long ioctl_prepare(struct attachment *attachment, struct vas_ko_prepare __user *user)
{
	struct vas_ko_prepare prepare;
	struct vas_ko_range *ranges;
	int err;

	if (attachment->ranges)
		return -EINPROGRESS;
	if (copy_from_user(&prepare, user, sizeof(prepare)))
		return -EFAULT;
	err = read_ranges(&prepare, &ranges);
	if (err)
		return err;
	err = vas_inode_invalidate(attachment->info, ranges, prepare.nr,
				   deadline_of(prepare.timeout_ns), &prepare.blocker);
	if (!err) {
		attachment->ranges = ranges;
		return 0;
	}
	kvfree(ranges);
	if (copy_to_user(&user->blocker, &prepare.blocker, sizeof(prepare.blocker)))
		return -EFAULT;
	return err;
}

static long ioctl_freeze(struct attachment *attachment, struct vas_ko_freeze __user *user)
{
	struct vas_ko_freeze freeze;
	int err;

	if (attachment->frozen)
		return -EINPROGRESS;
	if (copy_from_user(&freeze, user, sizeof(freeze)))
		return -EFAULT;
	err = vas_inode_freeze(attachment->info, deadline_of(freeze.timeout_ns), &freeze.blocker);
	attachment->frozen = !err;
	if (err && copy_to_user(&user->blocker, &freeze.blocker, sizeof(freeze.blocker)))
		return -EFAULT;
	return err;
}

static long ioctl_info(struct attachment *attachment, struct vas_ko_info __user *user)
{
	struct vas_ko_info info = {
		.frozen = attachment->frozen,
		.prepared = attachment->ranges != NULL,
	};

	vas_inode_count(attachment->info, &info.nr_bindings, &info.nr_mappings);
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

static long locked_ioctl(struct attachment *attachment, unsigned int cmd, void __user *user)
{
	if (cmd == VAS_KO_ATTACH)
		return ioctl_attach(attachment, user);
	if (!attachment->info)
		return -ENXIO;
	switch (cmd) {
	case VAS_KO_PREPARE:
		return ioctl_prepare(attachment, user);
	case VAS_KO_COMMIT:
	case VAS_KO_ABORT:
		give_back(attachment);
		return 0;
	case VAS_KO_FREEZE:
		return ioctl_freeze(attachment, user);
	case VAS_KO_THAW:
		thaw(attachment);
		return 0;
	case VAS_KO_INFO:
		return ioctl_info(attachment, user);
	default:
		return -ENOTTY;
	}
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct attachment *attachment = file->private_data;
	long result;

	if (mutex_lock_killable(&attachment->lock))
		return -EINTR;
	result = locked_ioctl(attachment, cmd, (void __user *)arg);
	mutex_unlock(&attachment->lock);
	return result;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
};

static struct miscdevice vas_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vas",
	.mode = 0666, /* what it does is allowed by the fd that it is given */
	.fops = &device_fops,
};

int vas_device_file_init(void)
{
	return misc_register(&vas_device);
}

void vas_device_file_exit(void)
{
	misc_deregister(&vas_device);
}
