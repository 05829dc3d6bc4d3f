// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Both ways to hold all bindings work alike: a flag keeps new users out, and those who are in are
 * asked, or waited for. The beginning waits for nobody; the caller looks whether all have complied,
 * whenever the info's wait queue is woken, and puts everything back if it has waited long enough.
 */
#include "freeze.h"

#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/string.h>

#include <uapi/linux/vas.h>

#include "binding.h"
#include "counters.h"
#include "mapping.h"
#include "inode.h"
#include "section.h"
#include "trace.h"
#include "view.h"

static bool is_in_the_way(const struct vas_mapping *mapping, enum vas_request request)
{
	if (request == VAS_REQUEST_UNMAP)
		return vas_inode_is_invalid(mapping->vas->info, mapping->gpa, mapping->len);
	return mapping->flags & VAS_MAPPING_WRITE && !READ_ONCE(mapping->is_quiet);
}

/* info->lock is held. */
static struct vas_mapping *find_blocker(struct vas_inode_info *info, enum vas_request request)
{
	struct vas_mapping *mapping;

	list_for_each_entry(mapping, &info->mappings, in_inode)
		if (is_in_the_way(mapping, request))
			return mapping;
	return NULL;
}

static bool is_clear(struct vas_inode_info *info, enum vas_request request)
{
	bool clear;

	spin_lock(&info->lock);
	clear = !find_blocker(info, request);
	spin_unlock(&info->lock);
	return clear;
}

static void request_all(struct vas_inode_info *info, enum vas_request request, ktime_t deadline)
{
	struct vas_mapping *mapping;

	spin_lock(&info->lock);
	list_for_each_entry(mapping, &info->mappings, in_inode) {
		if (!is_in_the_way(mapping, request) ||
		    (mapping->is_by_owner && mapping->request == request))
			continue;
		mapping->is_by_owner = true;
		vas_mapping_request_locked(mapping, request, deadline);
	}
	spin_unlock(&info->lock);
}

/* Those who got a request may go on, unless they are frozen as well. */
static void release_all(struct vas_inode_info *info, enum vas_request request)
{
	struct vas_mapping *mapping;

	spin_lock(&info->lock);
	list_for_each_entry(mapping, &info->mappings, in_inode) {
		if (!mapping->is_by_owner || mapping->request != request)
			continue;
		if (info->frozen && mapping->flags & VAS_MAPPING_WRITE) {
			vas_mapping_request_locked(mapping, VAS_REQUEST_QUIESCE, ktime_get());
			continue;
		}
		mapping->is_by_owner = false;
		vas_mapping_request_locked(mapping, VAS_REQUEST_NONE, 0);
	}
	spin_unlock(&info->lock);
}

/* Whoever of them is in the way of the request: a map's holder; nobody by name if a section is. */
static void report(struct vas_inode_info *info, enum vas_request request,
		   struct vas_ko_blocker *blocker)
{
	const struct vas_mapping *mapping;

	memset(blocker, 0, sizeof(*blocker));
	spin_lock(&info->lock);
	mapping = find_blocker(info, request);
	if (mapping) {
		blocker->gpa = mapping->gpa;
		blocker->size = mapping->len;
		blocker->pid = mapping->vas->pid;
		strscpy(blocker->name, mapping->vas->ops->name, sizeof(blocker->name));
	}
	spin_unlock(&info->lock);
}

/* A section that did not end: of a binding that has a slot in use. Observers have none. */
static void report_section(struct vas_inode_info *info, struct vas_ko_blocker *blocker)
{
	struct vas *vas;

	spin_lock(&info->lock);
	list_for_each_entry(vas, &info->bindings, in_inode) {
		if (!vas_slot_pool_is_busy(vas))
			continue;
		strscpy(blocker->name, vas->ops->name, sizeof(blocker->name));
		blocker->pid = vas->pid;
		break;
	}
	spin_unlock(&info->lock);
}

/* ---- ranges -------------------------------------------------------------------------------- */

/* From now on is_in_the_way() and vas_mapping_create() go by these ranges. */
static void want(struct vas_inode_info *info, const struct vas_ko_range *ranges, u32 nr)
{
	spin_lock(&info->lock);
	info->wanted = ranges;
	info->nr_wanted = nr;
	spin_unlock(&info->lock);
}

/*
 * Take ranges, sorted, from all holders: they are asked to unmap, and no new maps are made there
 * until vas_inode_release(), up to which the ranges must live. They are gone when
 * vas_inode_is_released() says so.
 */
void vas_inode_invalidate(struct vas_inode_info *info, const struct vas_ko_range *ranges, u32 nr,
			  ktime_t deadline)
{
	want(info, ranges, nr);
	request_all(info, VAS_REQUEST_UNMAP, deadline);
}

/* If not, *blocker says who keeps what. */
bool vas_inode_is_released(struct vas_inode_info *info, struct vas_ko_blocker *blocker)
{
	if (is_clear(info, VAS_REQUEST_UNMAP))
		return true;
	report(info, VAS_REQUEST_UNMAP, blocker);
	return false;
}

void vas_inode_release(struct vas_inode_info *info)
{
	want(info, NULL, 0);
	release_all(info, VAS_REQUEST_UNMAP);
}

/* ---- sections ------------------------------------------------------------------------------ */

/**
 * struct vas_drain - waiting for sections that may be in the old state, but not for ever
 * @rcu: for the callback
 * @refs: the waiter's and the callback's
 * @lock: protects @info
 * @info: whose wait queue is woken; NULL: nobody waits any more
 * @is_done: there are none
 */
struct vas_drain {
	struct rcu_head rcu;
	refcount_t refs;
	spinlock_t lock;
	struct vas_inode_info *info;
	bool is_done;
};

static void put_drain(struct vas_drain *drain)
{
	if (refcount_dec_and_test(&drain->refs))
		kfree(drain);
}

static void drained(struct rcu_head *rcu)
{
	struct vas_drain *drain = container_of(rcu, struct vas_drain, rcu);

	smp_store_release(&drain->is_done, true); /* pairs with vas_inode_is_frozen() */
	spin_lock(&drain->lock);
	if (drain->info)
		wake_up_all(&drain->info->wait);
	spin_unlock(&drain->lock);
	put_drain(drain);
}

static struct vas_drain *drain_sections(struct vas_inode_info *info)
{
	struct vas_drain *drain = kzalloc(sizeof(*drain), GFP_KERNEL_ACCOUNT);

	if (!drain)
		return NULL;
	refcount_set(&drain->refs, 2);
	spin_lock_init(&drain->lock);
	drain->info = info;
	call_srcu(&info->srcu, &drain->rcu, drained);
	return drain;
}

/* The info may go: the callback, should it come yet, leaves it alone. */
static void forget_drain(struct vas_drain *drain)
{
	spin_lock(&drain->lock);
	drain->info = NULL;
	spin_unlock(&drain->lock);
	put_drain(drain);
}

/* ---- freeze -------------------------------------------------------------------------------- */

/*
 * Keep all bindings from writing until vas_inode_thaw(). They do when vas_inode_is_frozen() says
 * so. -ENOMEM: nothing is frozen.
 */
int vas_inode_freeze(struct vas_inode_info *info, struct vas_inode_freeze *freeze, ktime_t deadline)
{
	*freeze = (struct vas_inode_freeze){ .deadline = deadline };
	WRITE_ONCE(info->frozen, true);
	freeze->drain = drain_sections(info);
	if (!freeze->drain) {
		WRITE_ONCE(info->frozen, false);
		return -ENOMEM;
	}
	/* At once, so that holders have all the time there is; again when no more can appear. */
	request_all(info, VAS_REQUEST_QUIESCE, deadline);
	return 0;
}

/*
 * Sections that begin once they were drained see that it is frozen, so there are no new writable
 * maps from then on either. If not frozen, *blocker says who is in the way.
 */
bool vas_inode_is_frozen(struct vas_inode_info *info, struct vas_inode_freeze *freeze,
			 struct vas_ko_blocker *blocker)
{
	memset(blocker, 0, sizeof(*blocker));
	if (!smp_load_acquire(&freeze->drain->is_done)) {
		report_section(info, blocker);
		return false;
	}
	if (!freeze->asked_all) {
		request_all(info, VAS_REQUEST_QUIESCE, freeze->deadline);
		freeze->asked_all = true;
	}
	if (!is_clear(info, VAS_REQUEST_QUIESCE)) {
		report(info, VAS_REQUEST_QUIESCE, blocker);
		return false;
	}
	if (!freeze->is_counted) {
		vas_count(VAS_COUNT_FREEZES, 1);
		trace_vas_freeze(info->inode, true, 0);
		freeze->is_counted = true;
	}
	return true;
}

void vas_inode_thaw(struct vas_inode_info *info, struct vas_inode_freeze *freeze)
{
	WRITE_ONCE(info->frozen, false);
	if (!freeze->is_counted) /* given up */
		trace_vas_freeze(info->inode, true, -EBUSY);
	trace_vas_freeze(info->inode, false, 0);
	release_all(info, VAS_REQUEST_QUIESCE);
	wake_up_all(&info->wait);
	forget_drain(freeze->drain);
	freeze->drain = NULL;
}
