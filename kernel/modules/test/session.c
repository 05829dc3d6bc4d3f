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
	mutex_init(&s->sg_lock);
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
	u64 nr_rings;

	if (!s->vas)
		return;
	set_policy(s, VAS_TEST_COMPLY); /* an op that hangs keeps the binding */
	session_doorbell_stop(s, &nr_rings);
	session_load_stop(s, &ignored);
	session_sg_unmap(s, NULL);
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

static int tell(struct session *s, void *arg)
{
	struct vas_test_info *info = arg;
	u32 i;

	info->readonly = vas_is_readonly(s->vas);
	info->limit = vas_superblock(s->vas)->limit;
	for (i = 0; i < VAS_TEST_MAX_MAPS; i++)
		info->nr_maps += !!READ_ONCE(s->maps[i]);
	return 0;
}

static int end_binding(struct session *s, void *arg)
{
	unbind(s);
	return 0;
}

static int mark(struct session *s, void *arg)
{
	const struct vas_test_range *range = arg;

	vas_mark(s->vas, range->gpa, range->len);
	return 0;
}

static int offer(struct session *s, void *arg)
{
	return vas_backing_offer(s->vas, *(s32 *)arg);
}

static int tell_region(struct session *s, const struct vas_test_regions *arg)
{
	struct vas_region_entry region;
	int err = vas_region_at(s->vas, arg->gpa, &region);

	if (err)
		return err;
	return copy_to_user(u64_to_user_ptr(arg->regions), &region, sizeof(region)) ? -EFAULT : 0;
}

static int tell_regions(struct session *s, void *arg)
{
	const struct vas_test_regions *wanted = arg;
	struct vas_region_entry *regions;
	int nr;

	if (wanted->at_gpa)
		return tell_region(s, wanted);
	if (wanted->nr > VAS_TEST_MAX_REGIONS)
		return -E2BIG;
	regions = kvcalloc(wanted->nr + 1, sizeof(*regions), GFP_KERNEL | __GFP_NOWARN);
	if (!regions)
		return -ENOMEM;
	nr = vas_regions(s->vas, regions, wanted->nr);
	if (nr > 0 && copy_to_user(u64_to_user_ptr(wanted->regions), regions,
				   min_t(u32, nr, wanted->nr) * sizeof(*regions)))
		nr = -EFAULT;
	kvfree(regions);
	return nr;
}

static int offer_hva(struct session *s, void *arg)
{
	const struct vas_test_hva *hva = arg;

	return vas_local_offer(s->vas, hva->gpa, hva->size, hva->hva);
}

static int find_event(struct session *s, void *arg)
{
	struct vas_test_event *event = arg;
	struct vas_event_entry entry;
	int err;

	err = vas_event_find(s->vas, event->id, &entry);
	if (err)
		return err;
	event->kind = entry.kind;
	event->addr = entry.addr;
	strscpy(event->name, entry.name, sizeof(event->name));
	return 0;
}

/* What a bound session can do: arguments are copied in and out as the command says. */
static const struct {
	unsigned int cmd;
	int (*call)(struct session *s, void *arg);
} calls[] = {
	{ VAS_TEST_UNBIND, end_binding },
	{ VAS_TEST_COPY, session_copy },
	{ VAS_TEST_MAP, session_map },
	{ VAS_TEST_UNMAP_ID, session_unmap },
	{ VAS_TEST_MAP_ACCESS, session_map_access },
	{ VAS_TEST_ATTACHED, session_is_attached },
	{ VAS_TEST_MARK, mark },
	{ VAS_TEST_OFFER, offer },
	{ VAS_TEST_INFO, tell },
	{ VAS_TEST_LOAD, session_load_start },
	{ VAS_TEST_LOAD_STOP, session_load_stop },
	{ VAS_TEST_SG_MAP, session_sg_map },
	{ VAS_TEST_SG_ACCESS, session_sg_access },
	{ VAS_TEST_SG_UNMAP, session_sg_unmap },
	{ VAS_TEST_DOORBELL, session_doorbell_start },
	{ VAS_TEST_DOORBELL_STOP, session_doorbell_stop },
	{ VAS_TEST_EVENT, find_event },
	{ VAS_TEST_HVA, offer_hva },
	{ VAS_TEST_FIELD, session_field },
	{ VAS_TEST_REGIONS, tell_regions },
};

union argument {
	struct vas_test_copy copy;
	struct vas_test_map map;
	struct vas_test_map_access map_access;
	struct vas_test_range range;
	struct vas_test_info info;
	struct vas_test_load load;
	struct vas_test_load_result load_result;
	struct vas_test_sg sg;
	struct vas_test_sg_access sg_access;
	struct vas_test_doorbell doorbell;
	struct vas_test_event event;
	struct vas_test_hva hva;
	struct vas_test_field field;
	struct vas_test_regions regions;
};

static long bound_ioctl(struct session *s, unsigned int i, void __user *user)
{
	unsigned int cmd = calls[i].cmd, size = _IOC_SIZE(cmd);
	union argument arg = {};
	int result;

	if (_IOC_DIR(cmd) & _IOC_WRITE && copy_from_user(&arg, user, size))
		return -EFAULT;
	result = calls[i].call(s, &arg);
	/* Results belong to errors, too: what a copy has done. */
	if (_IOC_DIR(cmd) & _IOC_READ && copy_to_user(user, &arg, size))
		return -EFAULT;
	return result;
}

static long locked_ioctl(struct session *s, unsigned int cmd, void __user *user)
{
	unsigned int i;
	int fd;

	if (cmd == VAS_TEST_BIND)
		return get_user(fd, (int __user *)user) ? -EFAULT : bind(s, fd);
	for (i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].cmd == cmd)
			return s->vas ? bound_ioctl(s, i, user) : -ENXIO;
	return -ENOTTY;
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
