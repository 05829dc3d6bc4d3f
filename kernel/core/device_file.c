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
 * struct attachment - an open /dev/vas
 * @lock: one ioctl at a time
 * @backing: the owner's file, opened again; .file is NULL before VAS_KO_ATTACH
 * @info: of the file that it is attached to; set once, and read without the lock by poll
 * @ranges: of the change that is prepared, or is being so, or NULL
 * @freeze: its .drain is NULL if nothing is frozen, or being so
 * @step: what is under way, if anything is
 */
struct attachment {
	struct mutex lock;
	struct vas_backing backing;
	struct vas_inode_info *info;
	struct vas_ko_range *ranges;
	struct vas_inode_freeze freeze;
	enum { STEP_NONE, STEP_TAKE, STEP_FREEZE } step;
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

static void end_step(struct attachment *attachment, int step)
{
	if (attachment->step == step)
		attachment->step = STEP_NONE;
}

static void give_back(struct attachment *attachment)
{
	if (!attachment->ranges)
		return;
	vas_inode_release(attachment->info);
	kvfree(attachment->ranges);
	attachment->ranges = NULL;
	end_step(attachment, STEP_TAKE);
}

static void thaw(struct attachment *attachment)
{
	if (attachment->freeze.drain)
		vas_inode_thaw(attachment->info, &attachment->freeze);
	end_step(attachment, STEP_FREEZE);
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
	smp_store_release(&attachment->info, info); /* pairs with device_poll() */
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
static bool look(struct attachment *attachment, struct vas_ko_blocker *blocker)
{
	bool is_done = true;

	if (attachment->step == STEP_TAKE)
		is_done = vas_inode_is_released(attachment->info, blocker);
	else if (attachment->step == STEP_FREEZE)
		is_done = vas_inode_is_frozen(attachment->info, &attachment->freeze, blocker);
	if (is_done)
		attachment->step = STEP_NONE;
	return is_done;
}

/* 0, -EBUSY: the deadline passed, -EINTR. */
static int wait(struct attachment *attachment, ktime_t deadline, struct vas_ko_blocker *blocker)
{
	long left = wait_event_killable_timeout(attachment->info->wait, look(attachment, blocker),
						time_left(deadline));

	return left > 0 ? 0 : left ? -EINTR : -EBUSY;
}

/* What has just begun: to its end, or only looked at. */
static int go_on(struct attachment *attachment, u32 flags, ktime_t deadline,
		 struct vas_ko_blocker *blocker)
{
	if (flags & VAS_KO_NOWAIT)
		return look(attachment, blocker) ? 0 : VAS_KO_UNDER_WAY;
	return wait(attachment, deadline, blocker);
}

static long ioctl_finish(struct attachment *attachment, struct vas_ko_finish __user *user)
{
	struct vas_ko_finish finish = {};

	if (look(attachment, &finish.blocker))
		return 0;
	return copy_to_user(user, &finish, sizeof(finish)) ? -EFAULT : VAS_KO_UNDER_WAY;
}

/* Readable when nothing is under way. While an ioctl is at it, the next look has to tell. */
static __poll_t device_poll(struct file *file, poll_table *table)
{
	struct attachment *attachment = file->private_data;
	struct vas_inode_info *info = smp_load_acquire(&attachment->info);
	struct vas_ko_blocker blocker;
	bool is_done;

	if (!info)
		return EPOLLERR;
	poll_wait(file, &info->wait, table);
	if (!mutex_trylock(&attachment->lock))
		return EPOLLIN | EPOLLRDNORM;
	is_done = look(attachment, &blocker);
	mutex_unlock(&attachment->lock);
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

static long ioctl_prepare(struct attachment *attachment, struct vas_ko_prepare __user *user)
{
	struct vas_ko_prepare prepare;
	struct vas_ko_range *ranges;
	ktime_t deadline;
	int result;

	if (attachment->ranges || attachment->step)
		return -EINPROGRESS;
	if (copy_from_user(&prepare, user, sizeof(prepare)))
		return -EFAULT;
	result = read_ranges(&prepare, &ranges);
	if (result)
		return result;
	memset(&prepare.blocker, 0, sizeof(prepare.blocker));
	deadline = deadline_of(prepare.timeout_ns);
	attachment->ranges = ranges;
	attachment->step = STEP_TAKE;
	vas_inode_invalidate(attachment->info, ranges, prepare.nr, deadline);
	result = go_on(attachment, prepare.flags, deadline, &prepare.blocker);
	result = tell(&user->blocker, &prepare.blocker, result);
	if (result < 0)
		give_back(attachment);
	return result;
}

/* ---- freeze -------------------------------------------------------------------------------- */

static long ioctl_freeze(struct attachment *attachment, struct vas_ko_freeze __user *user)
{
	struct vas_ko_freeze freeze;
	ktime_t deadline;
	int result;

	if (attachment->freeze.drain || attachment->step)
		return -EINPROGRESS;
	if (copy_from_user(&freeze, user, sizeof(freeze)))
		return -EFAULT;
	if (freeze.flags & ~VAS_KO_NOWAIT || freeze.pad)
		return -EINVAL;
	memset(&freeze.blocker, 0, sizeof(freeze.blocker));
	deadline = deadline_of(freeze.timeout_ns);
	result = vas_inode_freeze(attachment->info, &attachment->freeze, deadline);
	if (result)
		return result;
	attachment->step = STEP_FREEZE;
	result = go_on(attachment, freeze.flags, deadline, &freeze.blocker);
	result = tell(&user->blocker, &freeze.blocker, result);
	if (result < 0)
		thaw(attachment);
	return result;
}

static long ioctl_info(struct attachment *attachment, struct vas_ko_info __user *user)
{
	struct vas_ko_info info = {
		.frozen = attachment->freeze.drain && attachment->step != STEP_FREEZE,
		.prepared = attachment->ranges && attachment->step != STEP_TAKE,
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
	case VAS_KO_FINISH:
		return ioctl_finish(attachment, user);
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
	.poll = device_poll,
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
