// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Both ways to hold all bindings work alike: a flag keeps new users out, those who are in are asked or
 * waited for, and if one does not comply in time everything is put back.
 */
#include "hold.h"

#include <linux/completion.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>

#include <uapi/linux/vas.h>

#include "binding.h"
#include "counters.h"
#include "mapping.h"
#include "space.h"
#include "trace.h"
#include "view.h"

/* In jiffies, and never 0: a deadline that has passed still allows one look. */
static long time_left(ktime_t deadline)
{
	s64 left_ns = ktime_to_ns(ktime_sub(deadline, ktime_get()));

	return left_ns > 0 ? min_t(u64, nsecs_to_jiffies64(left_ns) + 1, MAX_SCHEDULE_TIMEOUT) : 1;
}

static bool is_in_the_way(const struct vas_mapping *mapping, enum vas_wish wish)
{
	if (wish == VAS_WISH_UNMAP)
		return vas_space_wants(mapping->vas->space, mapping->gpa, mapping->len);
	return mapping->flags & VAS_MAP_WRITE && !READ_ONCE(mapping->is_quiet);
}

/* The space's lock is held. */
static struct vas_mapping *find_blocker(struct vas_space *space, enum vas_wish wish)
{
	struct vas_mapping *mapping;

	list_for_each_entry(mapping, &space->mappings, in_space)
		if (is_in_the_way(mapping, wish))
			return mapping;
	return NULL;
}

static bool is_clear(struct vas_space *space, enum vas_wish wish)
{
	bool clear;

	spin_lock(&space->lock);
	clear = !find_blocker(space, wish);
	spin_unlock(&space->lock);
	return clear;
}

static void ask_all(struct vas_space *space, enum vas_wish wish, ktime_t deadline)
{
	struct vas_mapping *mapping;

	spin_lock(&space->lock);
	list_for_each_entry(mapping, &space->mappings, in_space) {
		if (!is_in_the_way(mapping, wish))
			continue;
		mapping->is_driven = true;
		vas_ask_locked(mapping, wish, deadline);
	}
	spin_unlock(&space->lock);
}

/* Those who were asked may go on, unless they are frozen as well. */
static void release_all(struct vas_space *space, enum vas_wish wish)
{
	struct vas_mapping *mapping;

	spin_lock(&space->lock);
	list_for_each_entry(mapping, &space->mappings, in_space) {
		if (!mapping->is_driven || mapping->wish != wish)
			continue;
		if (space->frozen && mapping->flags & VAS_MAP_WRITE) {
			vas_ask_locked(mapping, VAS_WISH_QUIESCE, ktime_get());
			continue;
		}
		mapping->is_driven = false;
		vas_ask_locked(mapping, VAS_WISH_KEEP, 0);
	}
	spin_unlock(&space->lock);
}

static void blame(struct vas_space *space, enum vas_wish wish, struct vas_ko_blocker *blocker)
{
	const struct vas_mapping *mapping;

	memset(blocker, 0, sizeof(*blocker));
	spin_lock(&space->lock);
	mapping = find_blocker(space, wish);
	if (mapping) {
		blocker->gpa = mapping->gpa;
		blocker->size = mapping->len;
		strscpy(blocker->name, mapping->vas->ops->name, sizeof(blocker->name));
	}
	spin_unlock(&space->lock);
}

/* 0, -EBUSY: the deadline passed, -EINTR. */
static int wait_clear(struct vas_space *space, enum vas_wish wish, ktime_t deadline)
{
	long left = wait_event_killable_timeout(space->wait, is_clear(space, wish),
						time_left(deadline));

	return left > 0 ? 0 : left ? -EINTR : -EBUSY;
}

/* From now on is_in_the_way() and vas_map() go by these ranges. */
static void want(struct vas_space *space, const struct vas_ko_range *ranges, u32 nr)
{
	spin_lock(&space->lock);
	space->wanted = ranges;
	space->nr_wanted = nr;
	spin_unlock(&space->lock);
}

/*
 * Take ranges, sorted, from all holders: they are asked to unmap, and no new maps are made there until
 * vas_hold_give(), up to which the ranges must live. -EBUSY: one did not, *blocker says who, and
 * nothing is taken; -EINTR.
 */
int vas_hold_take(struct vas_space *space, const struct vas_ko_range *ranges, u32 nr,
		  ktime_t deadline, struct vas_ko_blocker *blocker)
{
	int err;

	want(space, ranges, nr);
	ask_all(space, VAS_WISH_UNMAP, deadline);
	err = wait_clear(space, VAS_WISH_UNMAP, deadline);
	if (err) {
		blame(space, VAS_WISH_UNMAP, blocker);
		vas_hold_give(space);
	}
	return err;
}

void vas_hold_give(struct vas_space *space)
{
	want(space, NULL, 0);
	release_all(space, VAS_WISH_UNMAP);
}

/* Waiting for sections that may be in the old state, but not for ever. */
struct drain {
	struct rcu_head rcu;
	struct completion done;
	refcount_t refs;
};

static void put_drain(struct drain *drain)
{
	if (refcount_dec_and_test(&drain->refs))
		kfree(drain);
}

static void drained(struct rcu_head *rcu)
{
	struct drain *drain = container_of(rcu, struct drain, rcu);

	complete(&drain->done);
	put_drain(drain);
}

static int drain_sections(ktime_t deadline)
{
	struct drain *drain = kzalloc(sizeof(*drain), GFP_KERNEL_ACCOUNT);
	long left;

	if (!drain)
		return -ENOMEM;
	init_completion(&drain->done);
	refcount_set(&drain->refs, 2); /* ours and the callback's */
	call_srcu(&vas_srcu, &drain->rcu, drained);
	left = wait_for_completion_killable_timeout(&drain->done, time_left(deadline));
	put_drain(drain);
	return left > 0 ? 0 : left ? -EINTR : -EBUSY;
}

/*
 * Keep all bindings from writing until vas_hold_thaw(). -EBUSY: a section or a map's holder did not
 * comply, *blocker says who, and nothing is frozen; -EINTR, -ENOMEM.
 */
int vas_hold_freeze(struct vas_space *space, ktime_t deadline, struct vas_ko_blocker *blocker)
{
	int err;

	memset(blocker, 0, sizeof(*blocker));
	WRITE_ONCE(space->frozen, true);
	/* Sections that begin once this has returned see it; there are no new writable maps either. */
	err = drain_sections(deadline);
	if (err)
		goto err_thaw;
	ask_all(space, VAS_WISH_QUIESCE, deadline);
	err = wait_clear(space, VAS_WISH_QUIESCE, deadline);
	if (err)
		goto err_blame;
	vas_count(VAS_COUNT_FREEZES, 1);
	trace_vas_freeze(space->inode, true, 0);
	return 0;
err_blame:
	blame(space, VAS_WISH_QUIESCE, blocker);
err_thaw:
	trace_vas_freeze(space->inode, true, err);
	vas_hold_thaw(space);
	return err;
}

void vas_hold_thaw(struct vas_space *space)
{
	WRITE_ONCE(space->frozen, false);
	trace_vas_freeze(space->inode, false, 0);
	release_all(space, VAS_WISH_QUIESCE);
	wake_up_all(&space->wait);
}
