// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Copies, from every context there is. */
#include <linux/completion.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "session.h"

/* One copy on its way to the context in which it is made. */
struct job {
	struct work_struct work;
	struct completion done;
	struct session *session;
	struct vas_test_copy *copy;
	void *buf;
	int err;
};

static int copy_cached(struct session *s, struct vas_test_copy *copy, void *buf)
{
	u32 flags = copy->flags & VAS_TEST_ATOMIC ? VAS_NO_SLEEP : 0;

	if (copy->flags & VAS_TEST_WRITE)
		return vas_cache_write(&s->cache, copy->gpa, buf, copy->len, flags);
	return vas_cache_read(&s->cache, copy->gpa, buf, copy->len, flags);
}

static int make_copy(struct job *job)
{
	struct vas_test_copy *copy = job->copy;
	struct vas *vas = job->session->vas;
	size_t done = 0;
	int err;

	if (copy->flags & VAS_TEST_CACHED)
		return copy_cached(job->session, copy, job->buf);
	switch (copy->flags & (VAS_TEST_WRITE | VAS_TEST_ATOMIC)) {
	case 0:
		err = vas_copy_from(vas, copy->gpa, job->buf, copy->len, &done);
		break;
	case VAS_TEST_WRITE:
		err = vas_copy_to(vas, copy->gpa, job->buf, copy->len, &done);
		break;
	case VAS_TEST_ATOMIC:
		err = vas_copy_from_atomic(vas, copy->gpa, job->buf, copy->len, &done);
		break;
	default:
		err = vas_copy_to_atomic(vas, copy->gpa, job->buf, copy->len, &done);
		break;
	}
	copy->done = done;
	return err;
}

static void work_copy(struct work_struct *work)
{
	struct job *job = container_of(work, struct job, work);

	job->err = make_copy(job);
}

static int thread_copy(void *data)
{
	struct job *job = data;

	job->err = make_copy(job);
	complete(&job->done);
	return 0;
}

static int thread_copy_mm(void *data)
{
	struct job *job = data;
	struct mm_struct *mm = job->session->mm;

	job->err = -ESRCH;
	if (mmget_not_zero(mm)) {
		kthread_use_mm(mm);
		job->err = make_copy(job);
		kthread_unuse_mm(mm);
		mmput(mm);
	}
	complete(&job->done);
	return 0;
}

static void in_thread(struct job *job, int (*fn)(void *data))
{
	struct task_struct *task;

	init_completion(&job->done);
	task = kthread_run(fn, job, "vas_test_copy");
	if (IS_ERR(task))
		job->err = PTR_ERR(task);
	else
		wait_for_completion(&job->done);
}

static void in_workqueue(struct job *job)
{
	INIT_WORK_ONSTACK(&job->work, work_copy);
	queue_work(system_wq, &job->work);
	flush_work(&job->work);
	destroy_work_on_stack(&job->work);
}

static void with_irqs_off(struct job *job)
{
	unsigned long flags;

	local_irq_save(flags);
	job->err = make_copy(job);
	local_irq_restore(flags);
}

static void dispatch(struct job *job)
{
	switch (job->copy->context) {
	case VAS_TEST_SELF:
		job->err = make_copy(job);
		break;
	case VAS_TEST_KTHREAD:
		in_thread(job, thread_copy);
		break;
	case VAS_TEST_KTHREAD_MM:
		in_thread(job, thread_copy_mm);
		break;
	case VAS_TEST_WORKQUEUE:
		in_workqueue(job);
		break;
	case VAS_TEST_IRQ_OFF:
		job->err = -EINVAL;
		if (job->copy->flags & VAS_TEST_ATOMIC)
			with_irqs_off(job);
		break;
	default:
		job->err = -EINVAL;
	}
}

/*
 * A length beyond VAS_TEST_MAX_LEN is what a hostile caller would ask for: no more of it can be
 * copied than there can be memory, so that is what the buffer has.
 */
static size_t buffer_size(const struct session *s, u64 len)
{
	u64 limit = vas_superblock(s->vas)->limit;

	if (len <= VAS_TEST_MAX_LEN)
		return max(len, 1ull);
	return limit <= VAS_TEST_MAX_LIMIT ? limit : 0;
}

static void run_job(struct job *job, u64 known)
{
	struct vas_test_copy *copy = job->copy;
	void __user *user = u64_to_user_ptr(copy->buf);
	u64 done;

	job->err = -EFAULT;
	if (copy->flags & VAS_TEST_WRITE && copy_from_user(job->buf, user, known))
		return;
	dispatch(job);
	done = job->err ? copy->done : copy->len;
	/* Of a copy that stopped early, what was done. */
	if (!(copy->flags & VAS_TEST_WRITE) && copy_to_user(user, job->buf, min(done, known)))
		job->err = -EFAULT;
}

int session_copy(struct session *s, void *arg)
{
	struct vas_test_copy *copy = arg;
	struct job job = { .session = s, .copy = copy };
	size_t size = buffer_size(s, copy->len);

	copy->done = 0;
	if (!size)
		return -E2BIG;
	job.buf = kvzalloc(size, GFP_KERNEL | __GFP_NOWARN);
	if (!job.buf)
		return -ENOMEM;
	run_job(&job, copy->len <= VAS_TEST_MAX_LEN ? copy->len : 0);
	kvfree(job.buf);
	return job.err;
}
