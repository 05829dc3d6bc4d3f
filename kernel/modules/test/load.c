// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A kernel thread that writes guest memory and reads it back, while a test does its worst. */
#include <linux/kthread.h>
#include <linux/prandom.h>
#include <linux/sched.h>

#include "session.h"

#define BLOCK 256

struct load {
	struct session *session;
	struct vas_cache cache;
	struct rnd_state random;
};

static int copy_block(struct load *load, u64 gpa, u8 *block, bool write)
{
	struct vas *vas = load->session->vas;

	if (load->session->load_task.kind == VAS_TEST_LOAD_CACHE)
		return write ? vas_cache_write(&load->cache, gpa, block, BLOCK, 0) :
			       vas_cache_read(&load->cache, gpa, block, BLOCK, 0);
	return write ? vas_copy_to(vas, gpa, block, BLOCK, NULL) :
		       vas_copy_from(vas, gpa, block, BLOCK, NULL);
}

static int check(const u8 *wrote, const u8 *read)
{
	return memcmp(wrote, read, BLOCK) ? -EILSEQ : 0;
}

static int round_by_copy(struct load *load, u64 gpa, u8 *wrote, u8 *read)
{
	int err;

	err = copy_block(load, gpa, wrote, true);
	if (!err)
		err = copy_block(load, gpa, read, false);
	return err ? err : check(wrote, read);
}

static int round_by_map(struct load *load, u64 gpa, u8 *wrote, u8 *read)
{
	struct vas_mapping *mapping;
	int err;

	err = vas_mapping_create(load->session->vas, gpa, BLOCK, VAS_MAPPING_WRITE, &mapping);
	if (err)
		return err;
	memcpy(vas_mapping_addr(mapping), wrote, BLOCK);
	memcpy(read, vas_mapping_addr(mapping), BLOCK);
	vas_mapping_destroy(mapping);
	return check(wrote, read);
}

static int round_in_section(struct load *load)
{
	struct vas_section section;
	int err;

	err = vas_enter(load->session->vas, VAS_PROT_WRITE, &section);
	if (err)
		return err;
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return vas_leave(&section);
}

static int round_of(struct load *load)
{
	const struct vas_test_load *task = &load->session->load_task;
	u64 nr_blocks = max_t(u64, task->len / BLOCK, 1);
	u64 gpa = task->gpa + prandom_u32_state(&load->random) % nr_blocks * BLOCK;
	u8 wrote[BLOCK], read[BLOCK];

	if (task->kind == VAS_TEST_LOAD_SECTION)
		return round_in_section(load);
	prandom_bytes_state(&load->random, wrote, BLOCK);
	if (task->kind == VAS_TEST_LOAD_MAP)
		return round_by_map(load, gpa, wrote, read);
	return round_by_copy(load, gpa, wrote, read);
}

static void account(struct vas_test_load_result *result, int err)
{
	switch (err) {
	case 0:
		result->done++;
		break;
	case -EFAULT:
		result->faults++;
		break;
	case -EAGAIN:
		result->again++;
		break;
	case -EILSEQ:
		result->wrong++;
		break;
	default:
		if (!result->err)
			result->err = err;
	}
}

static int run(void *data)
{
	struct load load = { .session = data };

	vas_cache_init(&load.cache, load.session->vas);
	prandom_seed_state(&load.random, load.session->load_task.seed);
	while (!kthread_should_stop()) {
		account(&load.session->load_result, round_of(&load));
		cond_resched();
	}
	vas_cache_clean(&load.cache);
	return 0;
}

int session_load_start(struct session *s, void *load)
{
	struct task_struct *task;

	if (s->load)
		return -EBUSY;
	s->load_task = *(struct vas_test_load *)load;
	memset(&s->load_result, 0, sizeof(s->load_result));
	task = kthread_run(run, s, "vas_test_load");
	if (IS_ERR(task))
		return PTR_ERR(task);
	s->load = task;
	return 0;
}

int session_load_stop(struct session *s, void *result)
{
	if (!s->load)
		return -ENOENT;
	kthread_stop(s->load);
	s->load = NULL;
	*(struct vas_test_load_result *)result = s->load_result;
	return 0;
}
