// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* /dev/vas_bench: measurements. */
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/timex.h>
#include <linux/uaccess.h>

#include "subject.h"

static DEFINE_MUTEX(subjects_lock);
static LIST_HEAD(all_subjects); /* under subjects_lock */

/* What the thread is given, and what it gives back. */
struct task {
	struct job job;
	const struct subject *subject;
	struct mm_struct *mm; /* of the caller, who waits and so keeps it */
	struct completion done;
	int err;
};

/**
 * subjects_add - offer ways to be measured
 * @subjects: they stay the caller's
 * @nr: how many
 * @owner: the module, which stays while one of them is at work
 */
void subjects_add(struct subject *subjects, unsigned int nr, struct module *owner)
{
	mutex_lock(&subjects_lock);
	while (nr--) {
		subjects->owner = owner;
		list_add(&subjects++->link, &all_subjects);
	}
	mutex_unlock(&subjects_lock);
}
EXPORT_SYMBOL_GPL(subjects_add);

/**
 * subjects_remove - undo subjects_add()
 * @subjects: as given to it
 * @nr: as given to it
 */
void subjects_remove(struct subject *subjects, unsigned int nr)
{
	mutex_lock(&subjects_lock);
	while (nr--)
		list_del(&subjects++->link);
	mutex_unlock(&subjects_lock);
}
EXPORT_SYMBOL_GPL(subjects_remove);

/* Its module stays until module_put(). */
static const struct subject *find(const char *name)
{
	const struct subject *subject, *found = NULL;

	mutex_lock(&subjects_lock);
	list_for_each_entry(subject, &all_subjects, link)
		if (!strcmp(subject->name, name) && try_module_get(subject->owner))
			found = subject;
	mutex_unlock(&subjects_lock);
	return found;
}

static int measure_part(const struct subject *subject, struct job *job, u64 *ticks, u64 *ns)
{
	int (*work)(struct job * job) = subject->work;
	u32 nr = job->run->nr;
	u64 start_ns = ktime_get_ns();
	u64 start = get_cycles();
	int err = 0;

	while (nr-- && !err)
		err = work(job);
	*ticks = get_cycles() - start;
	*ns = ktime_get_ns() - start_ns;
	return err;
}

/* The first part only brings everything to the caches. */
static int measure(const struct subject *subject, struct job *job)
{
	struct vas_bench_run *run = job->run;
	u64 ticks, ns;
	int err;
	u32 i;

	run->ticks = run->ns = U64_MAX;
	err = measure_part(subject, job, &ticks, &ns);
	for (i = 0; i < run->nr_parts && !err; i++) {
		err = measure_part(subject, job, &ticks, &ns);
		run->ticks = min(run->ticks, ticks);
		run->ns = min(run->ns, ns);
		cond_resched();
	}
	return err;
}

static int work_thread(void *arg)
{
	struct task *task = arg;
	const struct subject *subject = task->subject;

	kthread_use_mm(task->mm);
	task->err = subject->begin ? subject->begin(&task->job) : 0;
	if (!task->err) {
		task->err = measure(subject, &task->job);
		if (subject->end)
			subject->end(&task->job);
	}
	kthread_unuse_mm(task->mm);
	complete(&task->done);
	return 0;
}

static int in_thread(const struct subject *subject, struct vas_bench_run *run, void *buf,
		     struct file *object)
{
	struct task task = {
		.job = { .run = run, .buf = buf, .file = object },
		.subject = subject,
		.mm = current->mm,
	};
	struct task_struct *thread;

	init_completion(&task.done);
	thread = kthread_run(work_thread, &task, "vas_bench");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	wait_for_completion(&task.done);
	return task.err;
}

/* The buffer is whole pages, which a hardened kernel checks faster than parts of a slab. */
static int run_with_file(const struct subject *subject, struct vas_bench_run *run,
			 struct file *object)
{
	void __user *user = u64_to_user_ptr(run->buf);
	void *buf = alloc_pages_exact(max_t(size_t, run->len, PAGE_SIZE), GFP_KERNEL | __GFP_ZERO);
	int err = -EFAULT;

	if (!buf)
		return -ENOMEM;
	if (!copy_from_user(buf, user, run->len)) {
		err = in_thread(subject, run, buf, object);
		if (!err && copy_to_user(user, buf, run->len))
			err = -EFAULT;
	}
	free_pages_exact(buf, max_t(size_t, run->len, PAGE_SIZE));
	return err;
}

/* The fd is the caller's: the thread has none. */
static int run_subject(const struct subject *subject, struct vas_bench_run *run)
{
	struct file *object = fget(run->fd);
	int err;

	if (!object)
		return -EBADF;
	err = run_with_file(subject, run, object);
	fput(object);
	return err;
}

static long session_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vas_bench_run run, __user *user = (void __user *)arg;
	const struct subject *subject;
	int err;

	if (cmd != VAS_BENCH_RUN)
		return -ENOTTY;
	if (copy_from_user(&run, user, sizeof(run)))
		return -EFAULT;
	if (run.len > VAS_BENCH_MAX_LEN || !run.nr || !run.nr_parts ||
	    strnlen(run.subject, sizeof(run.subject)) == sizeof(run.subject))
		return -EINVAL;
	subject = find(run.subject);
	if (!subject)
		return -ENOENT;
	err = run_subject(subject, &run);
	module_put(subject->owner);
	if (!err && copy_to_user(user, &run, sizeof(run)))
		err = -EFAULT;
	return err;
}

static const struct file_operations session_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = session_ioctl,
};

static struct miscdevice session_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vas_bench",
	.fops = &session_fops,
};

static int __init bench_init(void)
{
	int err = sink_create();

	if (err)
		return err;
	subjects_add(bare_subjects, nr_bare_subjects, THIS_MODULE);
	subjects_add(copy_subjects, nr_copy_subjects, THIS_MODULE);
	subjects_add(whole_subjects, nr_whole_subjects, THIS_MODULE);
	err = misc_register(&session_device);
	if (err)
		sink_destroy();
	return err;
}
module_init(bench_init);

static void __exit bench_exit(void)
{
	misc_deregister(&session_device);
	sink_destroy();
}
module_exit(bench_exit);

MODULE_DESCRIPTION("What access to guest memory costs");
MODULE_LICENSE("Dual MIT/GPL");
