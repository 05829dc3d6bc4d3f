/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A way to do some work, which others are compared with. */
#ifndef VAS_BENCH_SUBJECT_H
#define VAS_BENCH_SUBJECT_H

#include <linux/list.h>

#include "vas_bench.h"

struct file;
struct module;

/**
 * struct job - a subject at work
 * @run: what was asked for
 * @file: that is behind @run->fd
 * @buf: @run->len bytes, page aligned
 * @addr: set by @begin where the memory has an address
 * @priv: the subject's
 */
struct job {
	struct vas_bench_run *run;
	struct file *file;
	void *buf;
	void *addr;
	void *priv;
};

/**
 * struct subject - one way
 * @name: of at most 23 characters
 * @begin: what is done once before; may be NULL
 * @work: what is measured: once for each operation
 * @end: undoes @begin; may be NULL
 * @owner: and @link: set by subjects_add()
 *
 * All are called in one kernel thread that has borrowed the asking process's mm, and return 0 or
 * -errno.
 */
struct subject {
	const char *name;
	int (*begin)(struct job *job);
	int (*work)(struct job *job);
	void (*end)(struct job *job);
	struct module *owner;
	struct list_head link;
};

void subjects_add(struct subject *subjects, unsigned int nr, struct module *owner);
void subjects_remove(struct subject *subjects, unsigned int nr);

extern struct subject bare_subjects[];
extern const unsigned int nr_bare_subjects;
extern struct subject copy_subjects[];
extern const unsigned int nr_copy_subjects;
extern struct subject whole_subjects[];
extern const unsigned int nr_whole_subjects;

/* The interface VAS_BENCH_SINK. */
int sink_create(void);
void sink_destroy(void);

#endif
