/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef VAS_TEST_SESSION_H
#define VAS_TEST_SESSION_H

#include <linux/completion.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include <linux/vas.h>

#include "vas_test.h"

struct task_struct;

/**
 * struct session - one open /dev/vas_test
 * @lock: one ioctl at a time, but for VAS_TEST_POLICY and VAS_TEST_COUNTS, which a hanging op needs
 * @vas: the binding, or NULL
 * @released: completed by the op as the binding ends: no other op runs any more
 * @cache: a cache of @vas
 * @maps_lock: protects @maps; ops take it, too
 * @maps: by id
 * @map_flags: VAS_MAPPING_*, by id
 * @policy: enum vas_test_policy
 * @policy_changed: ops that hang wait here
 * @counts: what the ops have seen; under @maps_lock
 * @load: the load's thread, or NULL
 * @load_task: what it does
 * @load_result: what it has done, once it has ended
 * @sg_lock: protects @sg and @has_sg; ops take it, too
 * @sg: the scatterlist
 * @has_sg: there is one
 * @doorbell: the doorbell
 * @irq: what it raises
 * @has_doorbell: there is one
 * @nr_rings: how often it rang
 * @mm: of the opener, for VAS_TEST_KTHREAD_MM
 */
struct session {
	struct mutex lock;
	struct vas *vas;
	struct completion released;
	struct vas_cache cache;
	spinlock_t maps_lock;
	struct vas_mapping *maps[VAS_TEST_MAX_MAPS];
	u32 map_flags[VAS_TEST_MAX_MAPS];
	u32 policy;
	wait_queue_head_t policy_changed;
	struct vas_test_counts counts;
	struct task_struct *load;
	struct vas_test_load load_task;
	struct vas_test_load_result load_result;
	struct mutex sg_lock;
	struct vas_sg sg;
	bool has_sg;
	struct vas_doorbell doorbell;
	struct vas_irq irq;
	bool has_doorbell;
	atomic64_t nr_rings;
	struct mm_struct *mm;
};

extern const struct vas_ops session_ops;
extern atomic64_t session_nr_released;

/* copy.c; arguments are those of each command in <vas_test.h> */
int session_copy(struct session *s, void *copy);

/* maps.c */
int session_map(struct session *s, void *map);
int session_unmap(struct session *s, void *id);
void session_unmap_all(struct session *s);
int session_map_access(struct session *s, void *access);
int session_is_attached(struct session *s, void *id);

/* field.c */
int session_field(struct session *s, void *field);

/* load.c */
int session_load_start(struct session *s, void *load);
int session_load_stop(struct session *s, void *result);

/* sg.c */
int session_sg_map(struct session *s, void *sg);
int session_sg_access(struct session *s, void *access);
int session_sg_unmap(struct session *s, void *unused);
void session_sg_invalidate(struct session *s, struct vas_mapping *mapping);

/* doordoordoordoordoordoordoordoordoordoordoorbell.c */
int session_doorbell_start(struct session *s, void *doorbell);
int session_doorbell_stop(struct session *s, void *nr_rings);

#endif
