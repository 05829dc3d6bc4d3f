// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Requests to holders of maps: to unmap, to quiesce, to go on.
 *
 * The request comes through /dev/vas, whose caller waits for the answer, or is found in the pins.
 * Those are looked through now and then, as the kernel cannot sleep on the owner's futex. Either
 * way the holder's op runs in the mapping's own work: one that hangs keeps nobody else waiting.
 */
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include <linux/vas.h>

#include "binding.h"
#include "counters.h"
#include "mapping.h"
#include "inode.h"
#include "trace.h"
#include "workqueue.h"

/* Well below the owner's deadline of a second, and cheap. */
#define LOOK_EVERY (HZ / 50 ?: 1)

#define DEADLINE_MS 1000

static void look(struct work_struct *work);

static DECLARE_DELAYED_WORK(look_work, look);
static atomic_t nr_mappings = ATOMIC_INIT(0);

/* A promise counts only while it is what the owner wants: see vas_mapping_request_locked(). */
static void keep_promise(struct vas_mapping *mapping)
{
	struct vas_inode_info *info = mapping->vas->info;
	bool quiet;

	spin_lock(&info->lock);
	quiet = mapping->request == VAS_REQUEST_QUIESCE;
	mapping->is_quiet = quiet;
	spin_unlock(&info->lock);
	if (quiet)
		vas_mapping_answer(mapping);
}

static void quiesce(struct vas_mapping *mapping, ktime_t deadline)
{
	const struct vas_ops *ops = mapping->vas->ops;

	vas_count(VAS_COUNT_QUIESCES, 1);
	if (!ops->quiesce || ops->quiesce(mapping->vas->priv, mapping, deadline))
		return;
	mapping->has_promised = true;
	keep_promise(mapping);
}

static void tell(struct vas_mapping *mapping, enum vas_request request, ktime_t deadline)
{
	const struct vas_ops *ops = mapping->vas->ops;

	trace_vas_invalidate(mapping, request);
	switch (request) {
	case VAS_REQUEST_UNMAP:
		vas_count(VAS_COUNT_INVALIDATES, 1);
		if (ops->invalidate)
			ops->invalidate(mapping->vas->priv, mapping, deadline);
		break;
	case VAS_REQUEST_QUIESCE:
		quiesce(mapping, deadline);
		break;
	case VAS_REQUEST_NONE:
		if (mapping->has_promised && ops->resume)
			ops->resume(mapping->vas->priv, mapping);
		mapping->has_promised = false;
		break;
	}
	wake_up_all(&mapping->vas->info->wait);
}

/* Until the holder was told of the last request; those before it may have been overtaken. */
static void tell_all(struct vas_mapping *mapping)
{
	struct vas_inode_info *info = mapping->vas->info;

	for (;;) {
		enum vas_request request;
		ktime_t deadline;
		bool done;

		spin_lock(&info->lock);
		done = mapping->nr_told == mapping->nr_requests;
		mapping->nr_told = mapping->nr_requests;
		request = mapping->request;
		deadline = mapping->deadline;
		spin_unlock(&info->lock);
		if (done)
			return;
		tell(mapping, request, deadline);
	}
}

static void request_work(struct work_struct *work)
{
	struct vas_mapping *mapping = container_of(work, struct vas_mapping, request_work);

	/* The map stays one while its holder's op runs, even if the holder drops it. */
	if (refcount_inc_not_zero(&mapping->users)) {
		tell_all(mapping);
		vas_mapping_destroy(mapping);
	}
	vas_mapping_put(mapping);
}

/* Have the holder told, even if it was before; info->lock is held. */
void vas_mapping_request_locked(struct vas_mapping *mapping, enum vas_request request,
				ktime_t deadline)
{
	WRITE_ONCE(mapping->request, request); /* read by vas_mapping_request() */
	mapping->deadline = deadline;
	if (request != VAS_REQUEST_QUIESCE)
		mapping->is_quiet = false;
	if (!mapping->is_live)
		return;
	mapping->nr_requests++;
	/* Cannot be 0: the mapping is in info's list. */
	refcount_inc(&mapping->refs);
	if (!queue_work(vas_workqueue, &mapping->request_work))
		refcount_dec(&mapping->refs);
}

/*
 * An owner that gave up and tries again may have done both between two looks. The count of its
 * notifications shows that something has happened, so a holder that did not comply gets the request
 * again.
 */
static void look_at(struct vas_mapping *mapping)
{
	u32 notify = READ_ONCE(mapping->vas->control->notify);
	enum vas_request request = vas_mapping_pin_request(mapping);
	bool again = request != VAS_REQUEST_NONE && notify != mapping->notify;

	/* Whoever has promised through /dev/vas answers in the record, too. */
	if (request == VAS_REQUEST_QUIESCE && mapping->is_quiet)
		vas_mapping_answer(mapping);
	if (mapping->is_by_owner)
		return;
	mapping->notify = notify;
	if (request == VAS_REQUEST_QUIESCE && mapping->is_quiet)
		return;
	if (request != mapping->request || again)
		vas_mapping_request_locked(mapping, request,
					   ktime_add_ms(ktime_get(), DEADLINE_MS));
}

static void look_through(struct vas_inode_info *info)
{
	struct vas_mapping *mapping;

	spin_lock(&info->lock);
	list_for_each_entry(mapping, &info->mappings, in_inode)
		look_at(mapping);
	spin_unlock(&info->lock);
}

static void look(struct work_struct *work)
{
	struct vas_inode_info *info;

	mutex_lock(&vas_inodes_lock);
	list_for_each_entry(info, &vas_inodes, node)
		look_through(info);
	mutex_unlock(&vas_inodes_lock);
	if (atomic_read(&nr_mappings))
		queue_delayed_work(vas_workqueue, &look_work, LOOK_EVERY);
}

/* A mapping comes to be; each is followed by one vas_invalidate_end(). */
void vas_invalidate_begin(struct vas_mapping *mapping)
{
	INIT_WORK(&mapping->request_work, request_work);
	atomic_inc(&nr_mappings);
	queue_delayed_work(vas_workqueue, &look_work, LOOK_EVERY);
}

void vas_invalidate_end(void)
{
	atomic_dec(&nr_mappings);
}

void vas_invalidate_exit(void)
{
	cancel_delayed_work_sync(&look_work);
}
