// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* /dev/vas_test: sessions and their ioctls. */
#include "session.h"

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static int session_open(struct inode *inode, struct file *file)
{
	struct session *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);

	if (!s)
		return -ENOMEM;
	mutex_init(&s->lock);
	spin_lock_init(&s->maps_lock);
	init_waitqueue_head(&s->policy_changed);
	s->mm = current->mm;
	mmgrab(s->mm);
	file->private_data = s;
	return 0;
}

static void set_policy(struct session *s, u32 policy)
{
	WRITE_ONCE(s->policy, policy);
	wake_up_all(&s->policy_changed);
}

static void unbind(struct session *s)
{
	struct vas_test_load_result ignored;

	if (!s->vas)
		return;
	session_load_stop(s, &ignored);
	session_unmap_all(s);
	vas_cache_clean(&s->cache);
	vas_put(s->vas);
	wait_for_completion(&s->released);
	s->vas = NULL;
}

static int session_release(struct inode *inode, struct file *file)
{
	struct session *s = file->private_data;

	set_policy(s, VAS_TEST_COMPLY);
	unbind(s);
	mmdrop(s->mm);
	kfree(s);
	return 0;
}

static int bind(struct session *s, int fd)
{
	int err;

	if (s->vas)
		return -EEXIST;
	init_completion(&s->released);
	err = vas_bind(fd, &session_ops, s, &s->vas);
	if (err)
		s->vas = NULL;
	else
		vas_cache_init(&s->cache, s->vas);
	return err;
}

static int tell(struct session *s, struct vas_test_info __user *user)
{
	struct vas_test_info info = {
		.readonly = vas_is_readonly(s->vas),
		.limit = vas_superblock(s->vas)->limit,
	};
	u32 i;

	for (i = 0; i < VAS_TEST_MAX_MAPS; i++)
		info.nr_maps += !!READ_ONCE(s->maps[i]);
	return copy_to_user(user, &info, sizeof(info)) ? -EFAULT : 0;
}

static long ioctl_copy(struct session *s, struct vas_test_copy __user *user)
{
	struct vas_test_copy copy;
	int err;

	if (copy_from_user(&copy, user, sizeof(copy)))
		return -EFAULT;
	err = session_copy(s, &copy);
	return put_user(copy.left, &user->left) ? -EFAULT : err;
}

static long ioctl_map(struct session *s, struct vas_test_map __user *user)
{
	struct vas_test_map map;
	int err;

	if (copy_from_user(&map, user, sizeof(map)))
		return -EFAULT;
	err = session_map(s, &map);
	return err ? err : put_user(map.id, &user->id);
}

static long ioctl_map_access(struct session *s, const void __user *user)
{
	struct vas_test_map_access access;

	if (copy_from_user(&access, user, sizeof(access)))
		return -EFAULT;
	return session_map_access(s, &access);
}

static long ioctl_mark(struct session *s, const void __user *user)
{
	struct vas_test_range range;

	if (copy_from_user(&range, user, sizeof(range)))
		return -EFAULT;
	vas_mark(s->vas, range.gpa, range.len);
	return 0;
}

static long ioctl_load(struct session *s, const void __user *user)
{
	struct vas_test_load load;

	if (copy_from_user(&load, user, sizeof(load)))
		return -EFAULT;
	return session_load_start(s, &load);
}

static long ioctl_load_stop(struct session *s, void __user *user)
{
	struct vas_test_load_result result;
	int err = session_load_stop(s, &result);

	if (err)
		return err;
	return copy_to_user(user, &result, sizeof(result)) ? -EFAULT : 0;
}

static long bound_ioctl(struct session *s, unsigned int cmd, void __user *user)
{
	u32 word;

	switch (cmd) {
	case VAS_TEST_UNBIND:
		unbind(s);
		return 0;
	case VAS_TEST_COPY:
		return ioctl_copy(s, user);
	case VAS_TEST_MAP:
		return ioctl_map(s, user);
	case VAS_TEST_MAP_ACCESS:
		return ioctl_map_access(s, user);
	case VAS_TEST_MARK:
		return ioctl_mark(s, user);
	case VAS_TEST_INFO:
		return tell(s, user);
	case VAS_TEST_LOAD:
		return ioctl_load(s, user);
	case VAS_TEST_LOAD_STOP:
		return ioctl_load_stop(s, user);
	}
	if (get_user(word, (u32 __user *)user))
		return -EFAULT;
	switch (cmd) {
	case VAS_TEST_UNMAP_ID:
		return session_unmap(s, word);
	case VAS_TEST_ATTACHED:
		return session_is_attached(s, word);
	case VAS_TEST_OFFER:
		return vas_backing_offer(s->vas, word);
	default:
		return -ENOTTY;
	}
}

static long locked_ioctl(struct session *s, unsigned int cmd, void __user *user)
{
	int fd;

	if (cmd != VAS_TEST_BIND)
		return s->vas ? bound_ioctl(s, cmd, user) : -ENXIO;
	return get_user(fd, (int __user *)user) ? -EFAULT : bind(s, fd);
}

static long ioctl_policy(struct session *s, const u32 __user *user)
{
	u32 policy;

	if (get_user(policy, user))
		return -EFAULT;
	set_policy(s, policy);
	return 0;
}

static long get_counts(struct session *s, void __user *user)
{
	struct vas_test_counts counts;

	spin_lock(&s->maps_lock);
	counts = s->counts;
	spin_unlock(&s->maps_lock);
	counts.released = atomic64_read(&session_nr_released);
	return copy_to_user(user, &counts, sizeof(counts)) ? -EFAULT : 0;
}

static long session_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct session *s = file->private_data;
	long result;

	switch (cmd) {
	case VAS_TEST_POLICY:
		return ioctl_policy(s, (void __user *)arg);
	case VAS_TEST_COUNTS:
		return get_counts(s, (void __user *)arg);
	}
	mutex_lock(&s->lock);
	result = locked_ioctl(s, cmd, (void __user *)arg);
	mutex_unlock(&s->lock);
	return result;
}

static const struct file_operations session_fops = {
	.owner = THIS_MODULE,
	.open = session_open,
	.release = session_release,
	.unlocked_ioctl = session_ioctl,
};

static struct miscdevice session_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vas_test",
	.fops = &session_fops,
};

module_misc_device(session_device);
MODULE_DESCRIPTION("vas.ko's interface for test programs");
MODULE_LICENSE("Dual MIT/GPL");
