// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * DESIGN.md, "Sections", seen from the kernel. A process has a slot a thread; we come in any
 * context, so a section takes one of the binding's slots for as long as it lasts, the first guess by
 * processor. The owner's membarrier does not reach kernel threads: the fence is ours.
 */
#include "section.h"

#include <linux/cache.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/srcu.h>

#include "binding.h"
#include "record.h"
#include "space.h"
#include "view.h"
#include "workqueue.h"

/* Sections that sleep (for memory, for a swapped page) must not keep others out. */
#define LANES_PER_CPU 2
#define MAX_LANES     64

#define MAX_TRIES 100

/**
 * struct vas_lane - one shared slot, and who is in it
 * @busy: bit 0: a section has it; also the lock that orders the holders
 * @slot: the slot's generation word; anybody may write it, we never read it
 */
struct vas_lane {
	unsigned long busy;
	u64 *slot;
} ____cacheline_aligned_in_smp;

static int claim_slots(struct vas *vas, unsigned int wanted)
{
	struct vas_slot *slots = vas->slots_window.addr;
	u32 i;

	for (i = 0; i < vas->sb->nr_slots && vas->nr_lanes < wanted; i++) {
		if (READ_ONCE(slots[i].binder) || cmpxchg(&slots[i].binder, 0, vas->binder + 1))
			continue;
		WRITE_ONCE(slots[i].generation, 0);
		WRITE_ONCE(slots[i].tid, 0);
		vas->lanes[vas->nr_lanes++].slot = &slots[i].generation;
	}
	return vas->nr_lanes ? 0 : -EAGAIN;
}

/* Observers have no lanes. -EAGAIN: no slot is free. vas_record_release() gives the slots back. */
int vas_lanes_init(struct vas *vas)
{
	unsigned int wanted = min_t(unsigned int, LANES_PER_CPU * num_possible_cpus(), MAX_LANES);
	int err;

	init_waitqueue_head(&vas->lane_free);
	if (vas->readonly)
		return 0;
	vas->lanes = kcalloc(wanted, sizeof(*vas->lanes), GFP_KERNEL_ACCOUNT);
	if (!vas->lanes)
		return -ENOMEM;
	err = claim_slots(vas, wanted);
	if (err) {
		vas_record_reclaim(vas);
		err = claim_slots(vas, wanted);
	}
	if (err)
		kfree(vas->lanes);
	return err;
}

void vas_lanes_clean(struct vas *vas)
{
	kfree(vas->lanes);
	vas->lanes = NULL;
	vas->nr_lanes = 0;
}

static struct vas_lane *try_lane(struct vas *vas)
{
	unsigned int i, at = raw_smp_processor_id() % vas->nr_lanes;

	for (i = 0; i < vas->nr_lanes; i++) {
		struct vas_lane *lane = &vas->lanes[at];

		if (!test_bit(0, &lane->busy) && !test_and_set_bit_lock(0, &lane->busy))
			return lane;
		if (++at == vas->nr_lanes)
			at = 0;
	}
	return NULL;
}

static int take_lane(struct vas *vas, u32 flags, struct vas_lane **lane)
{
	*lane = try_lane(vas);
	if (likely(*lane))
		return 0;
	if (flags & VAS_ATOMIC)
		return -EAGAIN;
	return wait_event_killable(vas->lane_free, (*lane = try_lane(vas)) != NULL);
}

static void free_lane(struct vas *vas, struct vas_lane *lane)
{
	/* L: what the section did comes before; pairs with the owner's look at the slot, P5. */
	smp_store_release(lane->slot, 0);
	clear_bit_unlock(0, &lane->busy);
	if (wq_has_sleeper(&vas->lane_free))
		wake_up(&vas->lane_free);
}

/* E1 to E3 for the view of now. False: the generation has gone on. */
static bool publish(struct vas_section *section)
{
	struct vas *vas = section->vas;

	section->view = srcu_dereference(vas->view, &vas_srcu);
	if (section->lane) {
		/* E1, and a full barrier for E2: pairs with the owner's, P4. */
		smp_store_mb(*section->lane->slot, section->view->generation);
	}
	/* E3; pairs with the owner's release, P3. */
	return smp_load_acquire(&vas->control->generation) == section->view->generation;
}

/* E4: the slot is empty meanwhile, so that nobody waits for us while we sleep. */
static int follow(struct vas_section *section, u32 flags)
{
	struct vas *vas = section->vas;

	if (section->lane)
		smp_store_release(section->lane->slot, 0); /* as in free_lane() */
	if (!(flags & VAS_ATOMIC))
		return vas_view_refresh(vas);
	vas_get(vas);
	if (!queue_work(vas_workqueue, &vas->refresh))
		refcount_dec(&vas->refs); /* not the last: the caller has one */
	return -EAGAIN;
}

/* By the control area's word, or by an owner that told us through /dev/vas and waits for SRCU. */
static bool is_frozen(const struct vas_section *section)
{
	return section->view->flags & VAS_STATE_FROZEN || READ_ONCE(section->vas->space->frozen);
}

static int enter(struct vas_section *section, u32 flags)
{
	int err, tries;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		if (likely(publish(section)))
			return flags & VAS_WRITE && is_frozen(section) ? -EAGAIN : 0;
		err = follow(section, flags);
		if (err)
			return err;
	}
	return -EAGAIN;
}

/**
 * vas_enter - begin a section
 * @vas: the binding
 * @flags: VAS_WRITE: guest memory will be written; VAS_ATOMIC: do not sleep
 * @section: filled in; to be given to vas_leave() in the same task
 *
 * Until vas_leave() no change of the layout completes: what the layout now names may be accessed
 * through vas_cache_at(). Keep it short: the owner waits, with a deadline. Sections may nest, but one
 * that waits for another thread's section is a deadlock of the caller's making.
 *
 * Return: 0; -EACCES: VAS_WRITE on a binding that can only read; -EAGAIN: frozen and VAS_WRITE, or the
 * layout has changed or all slots are busy and VAS_ATOMIC; -EINTR: a fatal signal came first;
 * -EPROTO: the control area is damaged; -ENOMEM, -EIO.
 */
int vas_enter(struct vas *vas, u32 flags, struct vas_section *section)
{
	int err;

	if (flags & VAS_WRITE && vas->readonly)
		return -EACCES;
	section->vas = vas;
	section->lane = NULL;
	if (!vas->readonly) {
		err = take_lane(vas, flags, &section->lane);
		if (err)
			return err;
	}
	section->srcu_idx = srcu_read_lock(&vas_srcu);
	err = enter(section, flags);
	if (unlikely(err))
		vas_leave(section);
	return err;
}
EXPORT_SYMBOL_GPL(vas_enter);

/**
 * vas_leave - end a section
 * @section: as filled in by vas_enter()
 *
 * Return: 0, or for an observer -EAGAIN: the layout has changed meanwhile, and what was read may not
 * be what it then named. Others may ignore the result.
 */
int vas_leave(struct vas_section *section)
{
	struct vas *vas = section->vas;
	int err = 0;

	if (section->lane) {
		free_lane(vas, section->lane);
	} else {
		smp_rmb(); /* what was read is older than this look; pairs with P3 */
		if (READ_ONCE(vas->control->generation) != section->view->generation)
			err = -EAGAIN;
	}
	srcu_read_unlock(&vas_srcu, section->srcu_idx);
	return err;
}
EXPORT_SYMBOL_GPL(vas_leave);
