// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Scatterlists, seen through the kernel's own functions for them. */
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "session.h"

#define MAX_RANGES 1024

static int map_ranges(struct session *s, const struct vas_range *ranges,
		      const struct vas_test_sg *sg)
{
	int err = -EEXIST;

	mutex_lock(&s->sg_lock);
	if (!s->has_sg) {
		s->sg.max_segment = sg->max_segment;
		err = vas_sg_map(s->vas, ranges, sg->nr, sg->flags, &s->sg);
		s->has_sg = !err;
	}
	mutex_unlock(&s->sg_lock);
	return err;
}

int session_sg_map(struct session *s, void *arg)
{
	struct vas_test_sg *sg = arg;
	struct vas_range *ranges;
	int err;

	if (sg->nr > MAX_RANGES)
		return -E2BIG;
	/* The same two words. */
	BUILD_BUG_ON(sizeof(struct vas_range) != sizeof(struct vas_test_range));
	ranges = vmemdup_user(u64_to_user_ptr(sg->ranges), sg->nr * sizeof(*ranges));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	err = map_ranges(s, ranges, sg);
	if (!err)
		sg->nr_entries = s->sg.table.orig_nents;
	kvfree(ranges);
	return err;
}

static int access_list(struct session *s, const struct vas_test_sg_access *access, void *buf)
{
	struct sg_table *table = &s->sg.table;
	size_t done;

	if (access->flags & VAS_TEST_WRITE)
		done = sg_pcopy_from_buffer(table->sgl, table->orig_nents, buf, access->len,
					    access->offset);
	else
		done = sg_pcopy_to_buffer(table->sgl, table->orig_nents, buf, access->len,
					  access->offset);
	return done == access->len ? 0 : -ERANGE;
}

int session_sg_access(struct session *s, void *arg)
{
	const struct vas_test_sg_access *access = arg;
	void __user *user = u64_to_user_ptr(access->buf);
	int err = -ENOENT;
	void *buf;

	if (access->len > VAS_TEST_MAX_LEN)
		return -E2BIG;
	buf = vmemdup_user(user, access->len);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	mutex_lock(&s->sg_lock);
	if (s->has_sg)
		err = access_list(s, access, buf);
	mutex_unlock(&s->sg_lock);
	if (!err && !(access->flags & VAS_TEST_WRITE) && copy_to_user(user, buf, access->len))
		err = -EFAULT;
	kvfree(buf);
	return err;
}

int session_sg_unmap(struct session *s, void *unused)
{
	int err = -ENOENT;

	mutex_lock(&s->sg_lock);
	if (s->has_sg) {
		vas_sg_unmap(&s->sg);
		s->has_sg = false;
		err = 0;
	}
	mutex_unlock(&s->sg_lock);
	return err;
}

void session_sg_invalidate(struct session *s, struct vas_mapping *mapping)
{
	mutex_lock(&s->sg_lock);
	if (s->has_sg && vas_sg_has(&s->sg, mapping)) {
		vas_sg_unmap(&s->sg);
		s->has_sg = false;
	}
	mutex_unlock(&s->sg_lock);
}
