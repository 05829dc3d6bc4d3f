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
#include "binder.h"
#include "inode.h"

/**
 * struct drive - an open /dev/vas
 * @lock: one ioctl at a time
 * @backing: the owner's file, opened again; .file is NULL before VAS_KO_ATTACH
 * @info: of the file that it is attached to
 * @ranges: of the change that is prepared, or NULL
 * @frozen: VAS_KO_FREEZE has succeeded
 */
struct drive {
	struct mutex lock;
	struct vas_backing backing;
	struct vas_inode_info *info;
	struct vas_ko_range *ranges;
	bool frozen;
};

static int device_open(struct inode *inode, struct file *file)
{
	struct drive *drive = kzalloc(sizeof(*drive), GFP_KERNEL_ACCOUNT);

	if (!drive)
		return -ENOMEM;
	mutex_init(&drive->lock);
	file->private_data = drive;
	return 0;
}

static void give_back(struct drive *drive)
{
	if (!drive->ranges)
		return;
	vas_inode_release(drive->info);
	kvfree(drive->ranges);
	drive->ranges = NULL;
}

static void thaw(struct drive *drive)
{
	if (drive->frozen)
		vas_inode_thaw(drive->info);
	drive->frozen = false;
}

static int device_release(struct inode *inode, struct file *file)
{
	struct drive *drive = file->private_data;

	if (drive->info) {
		give_back(drive);
		thaw(drive);
		vas_inode_close_device(drive->info);
		vas_inode_put(drive->info);
		vas_backing_close(&drive->backing);
	}
	kfree(drive);
	return 0;
}

/* Become the file's only /dev/vas. */
static int take_inode(struct drive *drive)
{
	struct vas_inode_info *info = vas_inode_get(file_inode(drive->backing.file));
	int err;

	if (!info)
		return -ENOMEM;
	err = vas_inode_open_device(info);
	if (err) {
		vas_inode_put(info);
		return err;
	}
	drive->info = info;
	return 0;
}

static int attach_file(struct drive *drive, struct file *file)
{
	int err;

	err = vas_backing_open(&drive->backing, file, true);
	if (err)
		return err;
	err = -EPERM;
	if (drive->backing.size >= sizeof(struct vas_superblock) &&
	    vas_current_owns(file, drive->backing.size - sizeof(struct vas_superblock)))
		err = take_inode(drive);
	if (err)
		vas_backing_close(&drive->backing);
	return err;
}

static long ioctl_attach(struct drive *drive, const void __user *user)
{
	struct vas_ko_attach attach;
	struct file *file;
	int err;

	if (drive->info)
		return -EEXIST;
	if (copy_from_user(&attach, user, sizeof(attach)))
		return -EFAULT;
	if (attach.flags)
		return -EINVAL;
	file = fget(attach.fd);
	if (!file)
		return -EBADF;
	err = attach_file(drive, file);
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

static long ioctl_prepare(struct drive *drive, struct vas_ko_prepare __user *user)
{
	struct vas_ko_prepare prepare;
	struct vas_ko_range *ranges;
	int err;

	if (drive->ranges)
		return -EINPROGRESS;
	if (copy_from_user(&prepare, user, sizeof(prepare)))
		return -EFAULT;
	err = read_ranges(&prepare, &ranges);
	if (err)
		return err;
	err = vas_inode_invalidate(drive->info, ranges, prepare.nr, deadline_of(prepare.timeout_ns),
				   &prepare.blocker);
	if (!err) {
		drive->ranges = ranges;
		return 0;
	}
	kvfree(ranges);
	if (copy_to_user(&user->blocker, &prepare.blocker, sizeof(prepare.blocker)))
		return -EFAULT;
	return err;
}

static long ioctl_freeze(struct drive *drive, struct vas_ko_freeze __user *user)
{
	struct vas_ko_freeze freeze;
	int err;

	if (drive->frozen)
		return -EINPROGRESS;
	if (copy_from_user(&freeze, user, sizeof(freeze)))
		return -EFAULT;
	err = vas_inode_freeze(drive->info, deadline_of(freeze.timeout_ns), &freeze.blocker);
	drive->frozen = !err;
	if (err && copy_to_user(&user->blocker, &freeze.blocker, sizeof(freeze.blocker)))
		return -EFAULT;
	return err;
}

static long ioctl_info(struct drive *drive, struct vas_ko_info __user *user)
{
	struct vas_ko_info info = {
		.frozen = drive->frozen,
		.prepared = drive->ranges != NULL,
	};

	vas_inode_count(drive->info, &info.nr_bindings, &info.nr_mappings);
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

static long locked_ioctl(struct drive *drive, unsigned int cmd, void __user *user)
{
	if (cmd == VAS_KO_ATTACH)
		return ioctl_attach(drive, user);
	if (!drive->info)
		return -ENXIO;
	switch (cmd) {
	case VAS_KO_PREPARE:
		return ioctl_prepare(drive, user);
	case VAS_KO_COMMIT:
	case VAS_KO_ABORT:
		give_back(drive);
		return 0;
	case VAS_KO_FREEZE:
		return ioctl_freeze(drive, user);
	case VAS_KO_THAW:
		thaw(drive);
		return 0;
	case VAS_KO_INFO:
		return ioctl_info(drive, user);
	default:
		return -ENOTTY;
	}
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct drive *drive = file->private_data;
	long result;

	if (mutex_lock_killable(&drive->lock))
		return -EINTR;
	result = locked_ioctl(drive, cmd, (void __user *)arg);
	mutex_unlock(&drive->lock);
	return result;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
};

static struct miscdevice drive_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vas",
	.mode = 0666, /* what it does is allowed by the fd that it is given */
	.fops = &device_fops,
};

int vas_device_file_init(void)
{
	return misc_register(&drive_device);
}

void vas_device_file_exit(void)
{
	misc_deregister(&drive_device);
}
