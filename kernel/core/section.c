// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * docs/design/sections.md, seen from the kernel. A process has a slot a thread; we come in any
 * context, so a section takes one of the binding's slots for as long as it lasts, the first guess
 * by processor. The owner's membarrier does not reach kernel threads: the fence is ours.
 */
#include "section.h"

#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "binding.h"
#include "inode.h"
#include "view.h"
#include "workqueue.h"

/* Sections that sleep (for memory, for a swapped page) must not keep others out. */
#define SLOTS_PER_CPU 2
#define MAX_POOL      64

/* Observers have no slots. -EAGAIN: none is free. */
int vas_slot_pool_init(struct vas *vas)
{
	unsigned int i, wanted = min_t(unsigned int, SLOTS_PER_CPU *num_possible_cpus(), MAX_POOL);
	struct vas_scan scan;

	init_waitqueue_head(&vas->pool_wait);
	if (vas->readonly)
		return 0;
	vas->pool = kcalloc(wanted, sizeof(*vas->pool), GFP_KERNEL_ACCOUNT);
	if (!vas->pool)
		return -ENOMEM;
	vas_scan_begin(&scan, &vas->proto, 0);
	for (i = 0; i < wanted; i++) {
		struct vas_slot_holder *holder = &vas->pool[i];

		holder->entry = vas_slot_claim(&scan, 0, &holder->slot);
		if (holder->entry == VAS_NO_ENTRY)
			break;
	}
	vas->nr_pool = i;
	if (i)
		return 0;
	kfree(vas->pool);
	return -EAGAIN;
}

void vas_slot_pool_clean(struct vas *vas)
{
	unsigned int i;

	for (i = 0; i < vas->nr_pool; i++)
		vas_slot_release(&vas->proto, vas->pool[i].entry);
	kfree(vas->pool);
	vas->pool = NULL;
	vas->nr_pool = 0;
}

/* From this processor's on, so that those who search do not all meet. */
static struct vas_slot_holder *search(struct vas *vas)
{
	unsigned int i, at = raw_smp_processor_id() % vas->nr_pool;

	for (i = 0; i < vas->nr_pool; i++) {
		if (vas_slot_pool_try(&vas->pool[at]))
			return &vas->pool[at];
		if (++at == vas->nr_pool)
			at = 0;
	}
	return NULL;
}

/*
 * The slot of this processor is busy: any other, or, if the caller may sleep, the next that is
 * free.
 */
int vas_slot_pool_wait(struct vas *vas, u32 flags, struct vas_slot_holder **slot_holder)
{
	*slot_holder = search(vas);
	if (likely(*slot_holder))
		return 0;
	if (flags & VAS_NO_SLEEP)
		return -EAGAIN;
	return wait_event_killable(vas->pool_wait, (*slot_holder = search(vas)) != NULL);
}

void vas_slot_pool_wake(struct vas *vas)
{
	wake_up(&vas->pool_wait);
}

/* A section is under way, at the time of the look. */
bool vas_slot_pool_is_busy(const struct vas *vas)
{
	unsigned int i;

	for (i = 0; i < vas->nr_pool; i++)
		if (test_bit(0, &vas->pool[i].busy))
			return true;
	return false;
}

/* In a work item, for who cannot sleep. */
static void refresh_later(struct vas *vas)
{
	vas_get(vas);
	if (!queue_work(vas_workqueue, &vas->refresh))
		refcount_dec(&vas->refs); /* not the last: the caller has one */
}

/*
 * E4: the slot is empty and the SRCU section over meanwhile, so that neither an owner nor the views
 * that are replaced, of which there may be many, wait for us while we sleep.
 */
static int follow(struct vas_section *section, u32 flags)
{
	struct vas *vas = section->vas;
	int err;

	if (section->slot_holder)
		smp_store_release(section->slot_holder->slot, 0); /* as in vas_slot_pool_put() */
	if (flags & VAS_NO_SLEEP) {
		refresh_later(vas);
		return -EAGAIN;
	}
	srcu_read_unlock(&vas->info->srcu, section->srcu_idx);
	err = vas_view_refresh(vas);
	section->srcu_idx = srcu_read_lock(&vas->info->srcu);
	/* The old one may be gone. */
	section->view = srcu_dereference(vas->view, &vas->info->srcu);
	return err;
}

/* The generation has gone on: after it, but not for ever. */
int vas_section_follow(struct vas_section *section, u32 flags)
{
	int err, tries;

	for (tries = 0; tries < VAS_VIEW_MAX_TRIES; tries++) {
		err = follow(section, flags);
		if (!err && vas_section_publish(section))
			return vas_section_allows(section, flags);
		if ((err && err != -EAGAIN) || flags & VAS_NO_SLEEP)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return -EAGAIN;
}

/**
 * vas_enter - begin a section
 * @vas: the binding
 * @flags: VAS_PROT_WRITE: guest memory will be written; VAS_NO_SLEEP: do not sleep
 * @section: filled in; to be given to vas_leave() in the same task
 *
 * Until vas_leave() no change of the layout completes: what the layout now names may be accessed
 * through vas_cache_at(). Keep it short: the owner waits, with a deadline. Sections may nest, but
 * one that waits for another thread's section is a deadlock of the caller's making.
 *
 * Return: 0; -EACCES: VAS_PROT_WRITE on a binding that can only read; -EAGAIN: frozen and
 * VAS_PROT_WRITE, or the layout has changed or all slots are busy and VAS_NO_SLEEP; -EINTR: a fatal
 * signal came first; -EPROTO: the control area is damaged; -ENOMEM, -EIO.
 */
int vas_enter(struct vas *vas, u32 flags, struct vas_section *section)
{
	return vas_section_enter(vas, flags, section);
}
EXPORT_SYMBOL_GPL(vas_enter);

/**
 * vas_leave - end a section
 * @section: as filled in by vas_enter()
 *
 * Return: 0, or for an observer -EAGAIN: the layout has changed meanwhile, and what was read may
 * not be what it then named. Others may ignore the result.
 */
int vas_leave(struct vas_section *section)
{
	return vas_section_leave(section);
}
EXPORT_SYMBOL_GPL(vas_leave);
