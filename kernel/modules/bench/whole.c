// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What is done once, or seldom: binding, maps, scatterlists. */
#include <linux/module.h>

#include <linux/vas.h>

#include "subject.h"

static const struct vas_ops bench_ops = { .owner = THIS_MODULE, .name = "bench" };

static int bind(struct job *job)
{
	return vas_bind_file(job->file, &bench_ops, NULL, (struct vas **)&job->priv);
}

static void unbind(struct job *job)
{
	vas_put(job->priv);
}

static int bind_and_put(struct job *job)
{
	int err = bind(job);

	if (!err)
		unbind(job);
	return err;
}

static int map_and_unmap(struct job *job)
{
	struct vas_mapping *mapping;
	int err;

	err = vas_mapping_create(job->priv, job->run->gpa, job->run->len, VAS_MAPPING_WRITE,
				 &mapping);
	if (!err)
		vas_mapping_destroy(mapping);
	return err;
}

static int sg_map_and_unmap(struct job *job)
{
	const struct vas_range range = { .gpa = job->run->gpa, .len = job->run->len };
	struct vas_sg sg = {};
	int err;

	err = vas_sg_map(job->priv, &range, 1, VAS_MAPPING_WRITE, &sg);
	if (!err)
		vas_sg_unmap(&sg);
	return err;
}

struct subject whole_subjects[] = {
	{ .name = "vas-bind", .work = bind_and_put },
	{ .name = "vas-map", .begin = bind, .work = map_and_unmap, .end = unbind },
	{ .name = "vas-sg", .begin = bind, .work = sg_map_and_unmap, .end = unbind },
};
const unsigned int nr_whole_subjects = ARRAY_SIZE(whole_subjects);
