// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What there is without any of this: a loop, memcpy(), user copies, pinned user pages. */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "subject.h"

static int do_nothing(struct job *job)
{
	return 0;
}

/* One page of the process, pinned, and its address. */
static int pin_page(struct job *job)
{
	struct page *page;

	if (job->run->len > PAGE_SIZE - offset_in_page(job->run->hva) ||
	    pin_user_pages_fast(job->run->hva, 1, FOLL_WRITE | FOLL_LONGTERM, &page) != 1)
		return -EFAULT;
	job->addr = page_address(page) + offset_in_page(job->run->hva);
	return 0;
}

static void unpin_page(struct job *job)
{
	unpin_user_page(virt_to_page(job->addr));
}

static int memcpy_from(struct job *job)
{
	memcpy(job->buf, job->addr, job->run->len);
	barrier();
	return 0;
}

static int memcpy_to(struct job *job)
{
	memcpy(job->addr, job->buf, job->run->len);
	barrier();
	return 0;
}

static int user_from(struct job *job)
{
	return copy_from_user(job->buf, u64_to_user_ptr(job->run->hva), job->run->len) ? -EFAULT :
											 0;
}

static int user_to(struct job *job)
{
	return copy_to_user(u64_to_user_ptr(job->run->hva), job->buf, job->run->len) ? -EFAULT : 0;
}

/* As drivers do it that are given an address of the process: pin, make a list, unpin. */
static int pin_sg(struct job *job)
{
	unsigned int nr = job->run->len >> PAGE_SHIFT;
	struct sg_table table;
	long pinned;
	int err = -EFAULT;

	pinned = pin_user_pages_fast(job->run->hva, nr, FOLL_WRITE | FOLL_LONGTERM, job->priv);
	if (pinned == nr)
		err = sg_alloc_table_from_pages(&table, job->priv, nr, 0, job->run->len,
						GFP_KERNEL);
	if (!err)
		sg_free_table(&table);
	if (pinned > 0)
		unpin_user_pages(job->priv, pinned);
	return err;
}

static int alloc_pages_array(struct job *job)
{
	job->priv = kvmalloc_array(job->run->len >> PAGE_SHIFT, sizeof(struct page *), GFP_KERNEL);
	return job->priv ? 0 : -ENOMEM;
}

static void free_pages_array(struct job *job)
{
	kvfree(job->priv);
}

struct subject bare_subjects[] = {
	{ .name = "nothing", .work = do_nothing },
	{ .name = "memcpy-from", .begin = pin_page, .work = memcpy_from, .end = unpin_page },
	{ .name = "memcpy-to", .begin = pin_page, .work = memcpy_to, .end = unpin_page },
	{ .name = "user-from", .work = user_from },
	{ .name = "user-to", .work = user_to },
	{ .name = "pin-sg", .begin = alloc_pages_array, .work = pin_sg, .end = free_pages_array },
};
const unsigned int nr_bare_subjects = ARRAY_SIZE(bare_subjects);
