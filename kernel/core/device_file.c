// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* /dev/vas: the owner's ioctls, as <uapi/linux/vas.h> tells them. */
#include "device_file.h"

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
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
 * struct drive - an open /dev/vas
 * @lock: one ioctl at a time
 * @backing: the owner's file, opened again; .file is NULL before VAS_KO_ATTACH
 * @space: what it drives; set once, and read without the lock by poll
 * @ranges: of the change that is prepared, or is being so, or NULL
 * @freeze: its .drain is NULL if nothing is frozen, or being so
 * @step: what is under way, if anything is
 */
struct drive {
	struct mutex lock;
	struct vas_backing backing;
	struct vas_inode_info *info;
	struct vas_ko_range *ranges;
	struct vas_inode_freeze freeze;
	enum { STEP_NONE, STEP_TAKE, STEP_FREEZE } step;
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

static void end_step(struct drive *drive, int step)
{
	if (drive->step == step)
		drive->step = STEP_NONE;
}

static void give_back(struct drive *drive)
{
	if (!drive->ranges)
		return;
	vas_inode_release(drive->info);
	kvfree(drive->ranges);
	drive->ranges = NULL;
	end_step(drive, STEP_TAKE);
}

static void thaw(struct drive *drive)
{
	if (drive->freeze.drain)
		vas_inode_thaw(drive->info, &drive->freeze);
	end_step(drive, STEP_FREEZE);
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

/* Become the file's only driver. */
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
	smp_store_release(&drive->info, info); /* pairs with drive_poll() */
	return 0;
}

static int attach_file(struct drive *drive, struct file *file)
{
	int err;

	err = vas_backing_open(&drive->backing, file, VAS_OPEN_READONLY | VAS_OPEN_SEALED);
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

/* ---- what is under way --------------------------------------------------------------------- */

static ktime_t deadline_of(u64 timeout_ns)
{
	return ktime_add_safe(ktime_get(), min_t(u64, timeout_ns, KTIME_MAX));
}

/* In jiffies, and never 0: a deadline that has passed still allows one look. */
static long time_left(ktime_t deadline)
{
	s64 left_ns = ktime_to_ns(ktime_sub(deadline, ktime_get()));

	return left_ns > 0 ? min_t(u64, nsecs_to_jiffies64(left_ns) + 1, MAX_SCHEDULE_TIMEOUT) : 1;
}

/* True: nobody is in the way any more, and nothing is under way. */
static bool look(struct drive *drive, struct vas_ko_blocker *blocker)
{
	bool is_done = true;

	if (drive->step == STEP_TAKE)
		is_done = vas_inode_is_released(drive->info, blocker);
	else if (drive->step == STEP_FREEZE)
		is_done = vas_inode_is_frozen(drive->info, &drive->freeze, blocker);
	if (is_done)
		drive->step = STEP_NONE;
	return is_done;
}

/* 0, -EBUSY: the deadline passed, -EINTR. */
static int wait(struct drive *drive, ktime_t deadline, struct vas_ko_blocker *blocker)
{
	long left = wait_event_killable_timeout(drive->info->wait, look(drive, blocker),
						time_left(deadline));

	return left > 0 ? 0 : left ? -EINTR : -EBUSY;
}

/* What has just begun: to its end, or only looked at. */
static int go_on(struct drive *drive, u32 flags, ktime_t deadline, struct vas_ko_blocker *blocker)
{
	if (flags & VAS_KO_NOWAIT)
		return look(drive, blocker) ? 0 : VAS_KO_UNDER_WAY;
	return wait(drive, deadline, blocker);
}

static long ioctl_finish(struct drive *drive, struct vas_ko_finish __user *user)
{
	struct vas_ko_finish finish = {};

	if (look(drive, &finish.blocker))
		return 0;
	return copy_to_user(user, &finish, sizeof(finish)) ? -EFAULT : VAS_KO_UNDER_WAY;
}

/* Readable when nothing is under way. While an ioctl is at it, the next look has to tell. */
static __poll_t drive_poll(struct file *file, poll_table *table)
{
	struct drive *drive = file->private_data;
	struct vas_inode_info *info = smp_load_acquire(&drive->info);
	struct vas_ko_blocker blocker;
	bool is_done;

	if (!info)
		return EPOLLERR;
	poll_wait(file, &info->wait, table);
	if (!mutex_trylock(&drive->lock))
		return EPOLLIN | EPOLLRDNORM;
	is_done = look(drive, &blocker);
	mutex_unlock(&drive->lock);
	return is_done ? EPOLLIN | EPOLLRDNORM : 0;
}

/* ---- ranges -------------------------------------------------------------------------------- */

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

	if (prepare->flags & ~VAS_KO_NOWAIT || prepare->nr > VAS_KO_MAX_RANGES)
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

/* Only what was wanted, and failed, has a blocker to tell of. */
static int tell(struct vas_ko_blocker __user *user, const struct vas_ko_blocker *blocker,
		int result)
{
	if (result && copy_to_user(user, blocker, sizeof(*blocker)))
		return -EFAULT;
	return result;
}

static long ioctl_prepare(struct drive *drive, struct vas_ko_prepare __user *user)
{
	struct vas_ko_prepare prepare;
	struct vas_ko_range *ranges;
	ktime_t deadline;
	int result;

	if (drive->ranges || drive->step)
		return -EINPROGRESS;
	if (copy_from_user(&prepare, user, sizeof(prepare)))
		return -EFAULT;
	result = read_ranges(&prepare, &ranges);
	if (result)
		return result;
	memset(&prepare.blocker, 0, sizeof(prepare.blocker));
	deadline = deadline_of(prepare.timeout_ns);
	drive->ranges = ranges;
	drive->step = STEP_TAKE;
	vas_inode_invalidate(drive->info, ranges, prepare.nr, deadline);
	result = go_on(drive, prepare.flags, deadline, &prepare.blocker);
	result = tell(&user->blocker, &prepare.blocker, result);
	if (result < 0)
		give_back(drive);
	return result;
}

/* ---- freeze -------------------------------------------------------------------------------- */

static long ioctl_freeze(struct drive *drive, struct vas_ko_freeze __user *user)
{
	struct vas_ko_freeze freeze;
	ktime_t deadline;
	int result;

	if (drive->freeze.drain || drive->step)
		return -EINPROGRESS;
	if (copy_from_user(&freeze, user, sizeof(freeze)))
		return -EFAULT;
	if (freeze.flags & ~VAS_KO_NOWAIT || freeze.pad)
		return -EINVAL;
	memset(&freeze.blocker, 0, sizeof(freeze.blocker));
	deadline = deadline_of(freeze.timeout_ns);
	result = vas_inode_freeze(drive->info, &drive->freeze, deadline);
	if (result)
		return result;
	drive->step = STEP_FREEZE;
	result = go_on(drive, freeze.flags, deadline, &freeze.blocker);
	result = tell(&user->blocker, &freeze.blocker, result);
	if (result < 0)
		thaw(drive);
	return result;
}

static long ioctl_info(struct drive *drive, struct vas_ko_info __user *user)
{
	struct vas_ko_info info = {
		.frozen = drive->freeze.drain && drive->step != STEP_FREEZE,
		.prepared = drive->ranges && drive->step != STEP_TAKE,
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
	case VAS_KO_FINISH:
		return ioctl_finish(drive, user);
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
	.poll = drive_poll,
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
