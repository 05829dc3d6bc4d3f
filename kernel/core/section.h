/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The slot pool: the shared slots that a binding's sections take in turn. And the short way into a
 * section and out again, inlined in those that do it for a few bytes.
 */
#ifndef VAS_KERNEL_SECTION_H
#define VAS_KERNEL_SECTION_H

#include <linux/bitops.h>
#include <linux/cache.h>
#include <linux/smp.h>
#include <linux/srcu.h>
#include <linux/wait.h>

#include <linux/vas.h>

#include "binding.h"
#include "inode.h"
#include "view.h"

/**
 * struct vas_slot_holder - one shared slot, and who is in it
 * @busy: bit 0: a section has it; also the lock that orders the holders
 * @slot: the slot's generation word; anybody may write it, we never read it
 * @entry: its place in the table
 * @hint: where in its map the last section found its region; the holder's
 */
struct vas_slot_holder {
	unsigned long busy;
	u64 *slot;
	u32 hint;
	u32 entry;
} ____cacheline_aligned_in_smp;

int vas_slot_pool_init(struct vas *vas);
void vas_slot_pool_clean(struct vas *vas);
int vas_slot_pool_wait(struct vas *vas, u32 flags, struct vas_slot_holder **slot_holder);
void vas_slot_pool_wake(struct vas *vas);
bool vas_slot_pool_is_busy(const struct vas *vas);
int vas_section_follow(struct vas_section *section, u32 flags);

/* Looked at before, as a busy slot's cache line is better left where it is. */
static __always_inline bool vas_slot_pool_try(struct vas_slot_holder *slot_holder)
{
	return !test_bit(0, &slot_holder->busy) && !test_and_set_bit_lock(0, &slot_holder->busy);
}

/* First the one that nobody else wants, unless a section sleeps in it. */
static __always_inline int vas_slot_pool_get(struct vas *vas, u32 flags,
					     struct vas_slot_holder **slot_holder)
{
	unsigned int cpu = raw_smp_processor_id();

	*slot_holder = &vas->pool[cpu];
	if (likely(cpu < vas->nr_pool && vas_slot_pool_try(*slot_holder)))
		return 0;
	return vas_slot_pool_wait(vas, flags, slot_holder);
}

static __always_inline void vas_slot_pool_put(struct vas *vas, struct vas_slot_holder *slot_holder)
{
	/* L: what the section did comes before; pairs with the owner's look at the slot, P5. */
	smp_store_release(slot_holder->slot, 0);
	clear_bit_unlock(0, &slot_holder->busy);
	/*
	 * Free first, then look for those who wait; pairs with prepare_to_wait() in
	 * vas_slot_pool_wait().
	 */
	smp_mb__after_atomic();
	if (unlikely(waitqueue_active(&vas->pool_wait)))
		vas_slot_pool_wake(vas);
}

/* E1 to E3 for the view of now. False: the generation has gone on. */
static __always_inline bool vas_section_publish(struct vas_section *section)
{
	struct vas *vas = section->vas;
	const struct vas_view *view = srcu_dereference(vas->view, &vas->info->srcu);

	section->view = view;
	if (section->slot_holder) {
		/* E1, and a full barrier for E2: pairs with the owner's, P4. */
		smp_store_mb(*section->slot_holder->slot, view->generation);
	}
	/* E3; pairs with the owner's release, P3. */
	return smp_load_acquire(&vas->control->generation) == view->generation;
}

/*
 * Frozen by the control area's word, or by an owner that told us through /dev/vas and waits for
 * SRCU.
 */
static __always_inline int vas_section_allows(const struct vas_section *section, u32 flags)
{
	if (!(flags & VAS_PROT_WRITE))
		return 0;
	return section->view->flags & VAS_STATE_FROZEN || READ_ONCE(section->vas->info->frozen) ?
		       -EAGAIN :
		       0;
}

/* vas_leave() */
static __always_inline int vas_section_leave(struct vas_section *section)
{
	struct vas *vas = section->vas;
	int err = 0;

	if (likely(section->slot_holder)) {
		vas_slot_pool_put(vas, section->slot_holder);
	} else {
		smp_rmb(); /* what was read is older than this look; pairs with P3 */
		if (READ_ONCE(vas->control->generation) != section->view->generation)
			err = -EAGAIN;
	}
	srcu_read_unlock(&vas->info->srcu, section->srcu_idx);
	return err;
}

/* vas_enter() */
static __always_inline int vas_section_enter(struct vas *vas, u32 flags,
					     struct vas_section *section)
{
	int err;

	section->vas = vas;
	section->slot_holder = NULL;
	if (likely(!vas->readonly)) {
		err = vas_slot_pool_get(vas, flags, &section->slot_holder);
		if (unlikely(err))
			return err;
	} else if (flags & VAS_PROT_WRITE) {
		return -EACCES;
	}
	section->srcu_idx = srcu_read_lock(&vas->info->srcu);
	if (likely(vas_section_publish(section)))
		err = vas_section_allows(section, flags);
	else
		err = vas_section_follow(section, flags);
	if (unlikely(err))
		vas_leave(section);
	return err;
}

#endif
