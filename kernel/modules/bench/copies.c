// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas.ko's ways to reach guest memory. */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include <linux/vas.h>

#include "subject.h"

struct access {
	struct vas *vas;
	struct vas_cache cache;
	struct vas_mapping *mapping;
};

static const struct vas_ops bench_ops = { .owner = THIS_MODULE, .name = "bench" };

static int bind(struct job *job)
{
	struct access *access = kzalloc(sizeof(*access), GFP_KERNEL);
	int err;

	if (!access)
		return -ENOMEM;
	err = vas_bind_file(job->file, &bench_ops, NULL, &access->vas);
	if (err) {
		kfree(access);
		return err;
	}
	vas_cache_init(&access->cache, access->vas);
	job->priv = access;
	return 0;
}

static void unbind(struct job *job)
{
	struct access *access = job->priv;

	vas_cache_clean(&access->cache);
	vas_put(access->vas);
	kfree(access);
}

static int copy_from(struct job *job)
{
	struct access *access = job->priv;

	return vas_copy_from(access->vas, job->run->gpa, job->buf, job->run->len, NULL);
}

static int copy_to(struct job *job)
{
	struct access *access = job->priv;

	return vas_copy_to(access->vas, job->run->gpa, job->buf, job->run->len, NULL);
}

static int cache_from(struct job *job)
{
	struct access *access = job->priv;

	return vas_cache_read(&access->cache, job->run->gpa, job->buf, job->run->len, 0);
}

static int cache_to(struct job *job)
{
	struct access *access = job->priv;

	return vas_cache_write(&access->cache, job->run->gpa, job->buf, job->run->len, 0);
}

static int map(struct job *job)
{
	struct access *access;
	int err = bind(job);

	if (err)
		return err;
	access = job->priv;
	err = vas_mapping_create(access->vas, job->run->gpa, job->run->len, VAS_MAPPING_WRITE,
				 &access->mapping);
	if (err)
		unbind(job);
	else
		job->addr = vas_mapping_addr(access->mapping);
	return err;
}

static void unmap(struct job *job)
{
	struct access *access = job->priv;

	vas_mapping_destroy(access->mapping);
	unbind(job);
}

static int map_from(struct job *job)
{
	memcpy(job->buf, job->addr, job->run->len);
	barrier();
	return 0;
}

static int map_to(struct job *job)
{
	memcpy(job->addr, job->buf, job->run->len);
	barrier();
	return 0;
}

struct subject copy_subjects[] = {
	{ .name = "vas-from", .begin = bind, .work = copy_from, .end = unbind },
	{ .name = "vas-to", .begin = bind, .work = copy_to, .end = unbind },
	{ .name = "vas-cache-from", .begin = bind, .work = cache_from, .end = unbind },
	{ .name = "vas-cache-to", .begin = bind, .work = cache_to, .end = unbind },
	{ .name = "vas-map-from", .begin = map, .work = map_from, .end = unmap },
	{ .name = "vas-map-to", .begin = map, .work = map_to, .end = unmap },
};
const unsigned int nr_copy_subjects = ARRAY_SIZE(copy_subjects);
