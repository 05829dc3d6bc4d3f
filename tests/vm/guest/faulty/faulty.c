// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A module with bugs: writing the name of one to /sys/module/faulty/parameters/bug commits it. Each
 * is one that a checker of the debug kernel has to find, or KCSAN, and the harness has to report.
 */
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>

static DEFINE_SPINLOCK(spinlock);
static DEFINE_MUTEX(mutex_a);
static DEFINE_MUTEX(mutex_b);

static void sleep_in_atomic(void)
{
	spin_lock(&spinlock);
	might_sleep();
	spin_unlock(&spinlock);
}

static void lock_in_both_orders(void)
{
	mutex_lock(&mutex_a);
	mutex_lock(&mutex_b);
	mutex_unlock(&mutex_b);
	mutex_unlock(&mutex_a);
	mutex_lock(&mutex_b);
	mutex_lock(&mutex_a);
	mutex_unlock(&mutex_a);
	mutex_unlock(&mutex_b);
}

static void leak_memory(void)
{
	void *volatile lost = kmalloc(100, GFP_KERNEL);

	lost = NULL;
	(void)lost;
}

static void use_after_free(void)
{
	char *volatile freed = kmalloc(100, GFP_KERNEL);

	kfree(freed);
	*(volatile char *)freed = 1;
}

static void shift_too_far(void)
{
	int volatile distance = 64, bits = 1;

	bits <<= distance;
}

static void no_work(struct work_struct *work)
{
}

static void free_queued_work(void)
{
	struct delayed_work *work = kmalloc(sizeof(*work), GFP_KERNEL);

	INIT_DELAYED_WORK(work, no_work);
	schedule_delayed_work(work, 3600 * HZ);
	kfree(work);
}

static unsigned long raced_for;

static int race(void *data)
{
	while (!kthread_should_stop()) {
		raced_for++;
		cpu_relax();
	}
	return 0;
}

static void write_unlocked(void)
{
	struct task_struct *other = kthread_run(race, NULL, "faulty");
	unsigned long end = jiffies + HZ;

	if (IS_ERR(other))
		return;
	for (; time_before(jiffies, end); cpu_relax())
		raced_for++;
	kthread_stop(other);
}

static int set_bug(const char *name, const struct kernel_param *param)
{
	if (sysfs_streq(name, "sleep"))
		sleep_in_atomic();
	else if (sysfs_streq(name, "lock"))
		lock_in_both_orders();
	else if (sysfs_streq(name, "leak"))
		leak_memory();
	else if (sysfs_streq(name, "free"))
		use_after_free();
	else if (sysfs_streq(name, "shift"))
		shift_too_far();
	else if (sysfs_streq(name, "work"))
		free_queued_work();
	else if (sysfs_streq(name, "race"))
		write_unlocked();
	else
		return -EINVAL;
	return 0;
}

static const struct kernel_param_ops bug_ops = { .set = set_bug };
module_param_cb(bug, &bug_ops, NULL, 0200);

static int __init faulty_init(void)
{
	return 0;
}

static void __exit faulty_exit(void)
{
}

module_init(faulty_init);
module_exit(faulty_exit);
MODULE_DESCRIPTION("Bugs for the kernel's checkers to find");
MODULE_LICENSE("Dual MIT/GPL");
