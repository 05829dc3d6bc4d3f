// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The "foo" for which all this is made: a kernel module that serves a guest and knows nothing of
 * KVM. It is given a vas and two eventfds, answers requests that the guest leaves in its memory,
 * and lets go of that memory on request.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <linux/vas.h>

#include "examples/echo.h"
#include "vas_example.h"

#define RETRY_AFTER (HZ / 100 ?: 1)

/**
 * struct foo - one guest that is served
 * @lock: one answer at a time; also protects @mapping and @is_quiet
 * @vas: the guest's memory
 * @gpa: of the struct echo_page in it
 * @flags: FOO_*
 * @cache: for short accesses
 * @mapping: with FOO_BY_MAP: the page, or NULL if it has been requested back
 * @is_quiet: the memory is frozen: @mapping is not to be touched
 * @doorbell: rings when there is a request
 * @irq: tells the guest of an answer
 * @retry: another try where the memory was frozen
 * @released: the binding has ended
 */
struct foo {
	struct mutex lock;
	struct vas *vas;
	u64 gpa;
	u32 flags;
	struct vas_cache cache;
	struct vas_mapping *mapping;
	bool is_quiet;
	struct vas_doorbell doorbell;
	struct vas_irq irq;
	struct delayed_work retry;
	struct completion released;
};

/* The page is the guest's: it may change under our eyes, so each field is read once. */
static bool answer(struct echo_page *page)
{
	u32 nr = smp_load_acquire(
		&page->request_nr); /* pairs with the guest's store of it, its last */

	if (nr == READ_ONCE(page->answer_nr))
		return false;
	WRITE_ONCE(page->answer, echo_answer(READ_ONCE(page->request), nr));
	smp_store_release(&page->answer_nr, nr); /* whoever sees it sees the answer */
	return true;
}

/* 1: answered, 0: nothing to answer, or -errno. */
static int answer_briefly(struct foo *foo)
{
	struct vas_section section;
	struct echo_page *page;
	int result;

	result = vas_enter(foo->vas, VAS_PROT_WRITE, &section);
	if (result)
		return result;
	page = vas_cache_at(&foo->cache, &section, foo->gpa, sizeof(*page), VAS_PROT_WRITE);
	result = PTR_ERR_OR_ZERO(page);
	if (!result && answer(page)) {
		vas_mark(foo->vas, foo->gpa, sizeof(*page));
		result = 1;
	}
	vas_leave(&section);
	return result;
}

static int answer_mapped(struct foo *foo)
{
	int err;

	if (foo->is_quiet)
		return -EAGAIN;
	if (!foo->mapping) {
		err = vas_mapping_create(foo->vas, foo->gpa, sizeof(struct echo_page),
					 VAS_MAPPING_WRITE, &foo->mapping);
		if (err)
			return err;
	}
	return answer(vas_mapping_addr(foo->mapping));
}

static void serve(struct foo *foo)
{
	int result;

	mutex_lock(&foo->lock);
	result = foo->flags & FOO_BY_MAP ? answer_mapped(foo) : answer_briefly(foo);
	mutex_unlock(&foo->lock);
	if (result > 0)
		vas_irq_raise(&foo->irq);
	else if (result == -EAGAIN || result == -EFAULT) /* frozen, or gone for now */
		schedule_delayed_work(&foo->retry, RETRY_AFTER);
}

static void ring(struct vas_doorbell *doorbell)
{
	serve(container_of(doorbell, struct foo, doorbell));
}

static void retry(struct work_struct *work)
{
	serve(container_of(to_delayed_work(work), struct foo, retry));
}

static void foo_invalidate(void *priv, struct vas_mapping *mapping, ktime_t deadline)
{
	struct foo *foo = priv;

	mutex_lock(&foo->lock);
	if (foo->mapping == mapping) {
		vas_mapping_destroy(mapping);
		foo->mapping = NULL;
		foo->is_quiet = false; /* nobody is told of the thaw of a map that is gone */
	}
	mutex_unlock(&foo->lock);
}

static int foo_quiesce(void *priv, struct vas_mapping *mapping, ktime_t deadline)
{
	struct foo *foo = priv;

	mutex_lock(&foo->lock);
	foo->is_quiet = true;
	mutex_unlock(&foo->lock);
	return 0;
}

static void foo_resume(void *priv, struct vas_mapping *mapping)
{
	struct foo *foo = priv;

	mutex_lock(&foo->lock);
	foo->is_quiet = false;
	mutex_unlock(&foo->lock);
}

static void foo_released(void *priv)
{
	struct foo *foo = priv;

	complete(&foo->released);
}

static const struct vas_ops foo_ops = {
	.owner = THIS_MODULE,
	.name = "vas_example",
	.invalidate = foo_invalidate,
	.quiesce = foo_quiesce,
	.resume = foo_resume,
	.release = foo_released,
};

static void unbind(struct foo *foo)
{
	mutex_lock(&foo->lock);
	vas_mapping_destroy(foo->mapping);
	foo->mapping = NULL;
	mutex_unlock(&foo->lock);
	vas_cache_clean(&foo->cache);
	vas_put(foo->vas);
	/* An op that still runs keeps the binding: after this none does. */
	wait_for_completion(&foo->released);
	foo->vas = NULL;
}

static int bind(struct foo *foo, const struct foo_serve *arg)
{
	struct vas *vas;
	int err;

	init_completion(&foo->released);
	foo->gpa = arg->gpa;
	foo->flags = arg->flags;
	foo->is_quiet = false;
	err = vas_bind(arg->vas_fd, &foo_ops, foo, &vas);
	if (err)
		return err;
	vas_cache_init(&foo->cache, vas);
	foo->vas = vas;
	return 0;
}

static int start(struct foo *foo, const struct foo_serve *arg)
{
	int err;

	err = bind(foo, arg);
	if (err)
		return err;
	err = vas_irq_attach(&foo->irq, arg->irq_fd);
	if (err)
		goto err_unbind;
	foo->doorbell = (struct vas_doorbell){ .ring = ring };
	err = vas_doorbell_attach(&foo->doorbell, arg->doorbell_fd);
	if (err)
		goto err_detach_irq;
	/* Who served before us may have gone with a request in its hands. */
	serve(foo);
	return 0;
err_detach_irq:
	vas_irq_detach(&foo->irq);
err_unbind:
	unbind(foo);
	return err;
}

static void stop(struct foo *foo)
{
	vas_doorbell_detach(&foo->doorbell);
	cancel_delayed_work_sync(&foo->retry);
	vas_irq_detach(&foo->irq);
	unbind(foo);
}

static int foo_open(struct inode *inode, struct file *file)
{
	struct foo *foo = kzalloc(sizeof(*foo), GFP_KERNEL_ACCOUNT);

	if (!foo)
		return -ENOMEM;
	mutex_init(&foo->lock);
	INIT_DELAYED_WORK(&foo->retry, retry);
	file->private_data = foo;
	return 0;
}

static int foo_release(struct inode *inode, struct file *file)
{
	struct foo *foo = file->private_data;

	if (foo->vas)
		stop(foo);
	kfree(foo);
	return 0;
}

static DEFINE_MUTEX(start_lock);

static long foo_ioctl(struct file *file, unsigned int cmd, unsigned long user)
{
	struct foo *foo = file->private_data;
	struct foo_serve arg;
	int err;

	if (cmd != FOO_SERVE)
		return -ENOTTY;
	if (copy_from_user(&arg, (void __user *)user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~FOO_BY_MAP || arg.gpa % sizeof(u64))
		return -EINVAL;
	mutex_lock(&start_lock);
	err = foo->vas ? -EBUSY : start(foo, &arg);
	mutex_unlock(&start_lock);
	return err;
}

static const struct file_operations foo_fops = {
	.owner = THIS_MODULE,
	.open = foo_open,
	.release = foo_release,
	.unlocked_ioctl = foo_ioctl,
};

static struct miscdevice foo_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "foo",
	.fops = &foo_fops,
};

module_misc_device(foo_device);
MODULE_DESCRIPTION("An echo device for guests whose memory is a vas");
MODULE_LICENSE("Dual MIT/GPL");
