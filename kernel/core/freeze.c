// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Freezing all bindings and invalidating ranges work alike. A flag keeps new users out; those who
 * are in get a request, or are waited for. If one does not comply in time everything is put back.
 */
#include "freeze.h"

#include <linux/completion.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/string.h>

#include <uapi/linux/vas.h>

#include "binding.h"
#include "counters.h"
#include "mapping.h"
#include "section.h"
#include "inode.h"
#include "trace.h"
#include "view.h"

/* In jiffies, and never 0: a deadline that has passed still allows one look. */
static long time_left(ktime_t deadline)
{
	s64 left_ns = ktime_to_ns(ktime_sub(deadline, ktime_get()));

	return left_ns > 0 ? min_t(u64, nsecs_to_jiffies64(left_ns) + 1, MAX_SCHEDULE_TIMEOUT) : 1;
}

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

	list_for_each_entry(mapping, &info->mappings,
			    in_inode) if (is_in_the_way(mapping, request)) return mapping;
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
	list_for_each_entry(mapping, &info->mappings, in_inode)
	{
		if (!is_in_the_way(mapping, request))
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
	list_for_each_entry(mapping, &info->mappings, in_inode)
	{
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
		strscpy(blocker->name, mapping->vas->ops->name, sizeof(blocker->name));
	}
	spin_unlock(&info->lock);
}

/* A section that did not end: of a binding that has a slot in use. Observers have none. */
static void report_section(struct vas_inode_info *info, struct vas_ko_blocker *blocker)
{
	struct vas *vas;

	spin_lock(&info->lock);
	list_for_each_entry(vas, &info->bindings, in_inode)
	{
		if (!vas_slot_pool_is_busy(vas))
			continue;
		strscpy(blocker->name, vas->ops->name, sizeof(blocker->name));
		break;
	}
	spin_unlock(&info->lock);
}

/* 0, -EBUSY: the deadline passed, -EINTR. */
static int wait_clear(struct vas_inode_info *info, enum vas_request request, ktime_t deadline)
{
	long left = wait_event_killable_timeout(info->wait, is_clear(info, request),
						time_left(deadline));

	return left > 0 ? 0 : left ? -EINTR : -EBUSY;
}

/* From now on is_in_the_way() and vas_mapping_create() go by these ranges. */
static void want(struct vas_inode_info *info, const struct vas_ko_range *ranges, u32 nr)
{
	spin_lock(&info->lock);
	info->wanted = ranges;
	info->nr_wanted = nr;
	spin_unlock(&info->lock);
}

/*
 * Take ranges, sorted, from all holders. They are requested to unmap, and no new maps are made
 * there until vas_inode_release(); the ranges must live until then. -EBUSY: one did not, *blocker
 * says who, and nothing is taken; -EINTR.
 */
int vas_inode_invalidate(struct vas_inode_info *info, const struct vas_ko_range *ranges, u32 nr,
			 ktime_t deadline, struct vas_ko_blocker *blocker)
{
	int err;

	want(info, ranges, nr);
	request_all(info, VAS_REQUEST_UNMAP, deadline);
	err = wait_clear(info, VAS_REQUEST_UNMAP, deadline);
	if (err) {
		report(info, VAS_REQUEST_UNMAP, blocker);
		vas_inode_release(info);
	}
	return err;
}

void vas_inode_release(struct vas_inode_info *info)
{
	want(info, NULL, 0);
	release_all(info, VAS_REQUEST_UNMAP);
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

static int drain_sections(struct vas_inode_info *info, ktime_t deadline)
{
	struct drain *drain = kzalloc(sizeof(*drain), GFP_KERNEL_ACCOUNT);
	long left;

	if (!drain)
		return -ENOMEM;
	init_completion(&drain->done);
	refcount_set(&drain->refs, 2); /* ours and the callback's */
	call_srcu(&info->srcu, &drain->rcu, drained);
	left = wait_for_completion_killable_timeout(&drain->done, time_left(deadline));
	put_drain(drain);
	return left > 0 ? 0 : left ? -EINTR : -EBUSY;
}

/*
 * Keep all bindings from writing until vas_inode_thaw(). -EBUSY: a section or a map's holder did
 * not comply, *blocker says who, and nothing is frozen; -EINTR, -ENOMEM.
 */
int vas_inode_freeze(struct vas_inode_info *info, ktime_t deadline, struct vas_ko_blocker *blocker)
{
	int err;

	memset(blocker, 0, sizeof(*blocker));
	WRITE_ONCE(info->frozen, true);
	/*
	 * Sections that begin once this has returned see it; there are no new writable maps either.
	 */
	err = drain_sections(info, deadline);
	if (err)
		goto err_report_section;
	request_all(info, VAS_REQUEST_QUIESCE, deadline);
	err = wait_clear(info, VAS_REQUEST_QUIESCE, deadline);
	if (err)
		goto err_report;
	vas_count(VAS_COUNT_FREEZES, 1);
	trace_vas_freeze(info->inode, true, 0);
	return 0;
err_report_section:
	report_section(info, blocker);
	goto err_thaw;
err_report:
	report(info, VAS_REQUEST_QUIESCE, blocker);
err_thaw:
	trace_vas_freeze(info->inode, true, err);
	vas_inode_thaw(info);
	return err;
}

void vas_inode_thaw(struct vas_inode_info *info)
{
	WRITE_ONCE(info->frozen, false);
	trace_vas_freeze(info->inode, false, 0);
	release_all(info, VAS_REQUEST_QUIESCE);
	wake_up_all(&info->wait);
}
