// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Doorbells and interrupts: eventfds that somebody else has attached to the guest.
 *
 * An eventfd's waiters are called with its lock held and interrupts off, and must not raise another
 * eventfd from there: what may sleep, or does, goes through a work item.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>

#include <linux/vas.h>

#include "backing.h"
#include "binding.h"
#include "../compat/compat.h"
#include "workqueue.h"

#define MAX_TRIES 100

static void ring_in_work(struct work_struct *work)
{
	struct vas_doorbell *doorbell = container_of(work, struct vas_doorbell, work);

	doorbell->ring(doorbell);
}

static void rang(struct vas_doorbell *doorbell)
{
	if (doorbell->flags & VAS_DOORBELL_ATOMIC)
		doorbell->ring(doorbell);
	else
		queue_work(vas_workqueue, &doorbell->work);
}

static int wake(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct vas_doorbell *doorbell = container_of(wait, struct vas_doorbell, wait);
	u64 count;

	if (!(key_to_poll(key) & EPOLLIN))
		return 0;
	/* So that the guest's next write is a new event, however many there were. */
	if (!(doorbell->flags & VAS_DOORBELL_SHARED))
		eventfd_ctx_do_read(doorbell->ctx, &count);
	rang(doorbell);
	return 0;
}

static void enqueue(struct file *file, wait_queue_head_t *head, poll_table *table)
{
	struct vas_doorbell *doorbell = container_of(table, struct vas_doorbell, table);

	doorbell->head = head;
	add_wait_queue(head, &doorbell->wait);
}

/*
 * A doorbell that rang before: as wake() would, so that ring() is never called twice at once, and
 * so that an interrupt that it raises is put off until the lock is released.
 */
static void ring_again(struct vas_doorbell *doorbell)
{
	unsigned long flags;

	spin_lock_irqsave(&doorbell->head->lock, flags);
	current->in_eventfd = 1;
	rang(doorbell);
	current->in_eventfd = 0;
	spin_unlock_irqrestore(&doorbell->head->lock, flags);
}

/**
 * vas_doorbell_attach - be called whenever a doorbell rings
 * @doorbell: the caller's, all zeros but for @ring and @flags
 * @fd: the doorbell's eventfd, of the calling process; not kept
 *
 * A doorbell that rang before is answered now. May sleep.
 *
 * Return: 0; -EBADF: not open; -EINVAL: not an eventfd.
 */
int vas_doorbell_attach(struct vas_doorbell *doorbell, int fd)
{
	struct file *file = eventfd_fget(fd);

	if (IS_ERR(file))
		return PTR_ERR(file);
	doorbell->ctx = eventfd_ctx_fileget(file);
	if (IS_ERR(doorbell->ctx)) {
		fput(file);
		return PTR_ERR(doorbell->ctx);
	}
	INIT_WORK(&doorbell->work, ring_in_work);
	init_waitqueue_func_entry(&doorbell->wait, wake);
	init_poll_funcptr(&doorbell->table, enqueue);
	if (vfs_poll(file, &doorbell->table) & EPOLLIN)
		ring_again(doorbell);
	fput(file);
	return 0;
}
EXPORT_SYMBOL_GPL(vas_doorbell_attach);

/**
 * vas_doorbell_detach - be called no more
 * @doorbell: attached
 *
 * Once this returns ring() does not run and will not: what it uses may go. A ring that has not been
 * answered is left in the eventfd, for whoever attaches next. Not to be called from ring(). May
 * sleep.
 */
void vas_doorbell_detach(struct vas_doorbell *doorbell)
{
	/* wake() runs under the wait queue's lock: after this it has run its last. */
	remove_wait_queue(doorbell->head, &doorbell->wait);
	if (cancel_work_sync(&doorbell->work) && !(doorbell->flags & VAS_DOORBELL_SHARED))
		vas_compat_eventfd_signal(doorbell->ctx); /* wake() has taken it */
	eventfd_ctx_put(doorbell->ctx);
}
EXPORT_SYMBOL_GPL(vas_doorbell_detach);

static void raise_in_work(struct work_struct *work)
{
	struct vas_irq *irq = container_of(work, struct vas_irq, work);

	vas_compat_eventfd_signal(irq->ctx);
}

/**
 * vas_irq_attach - get ready to raise an interrupt
 * @irq: the caller's
 * @fd: the interrupt's eventfd, of the calling process; not kept
 *
 * Return: 0; -EBADF: not open; -EINVAL: not an eventfd.
 */
int vas_irq_attach(struct vas_irq *irq, int fd)
{
	irq->ctx = eventfd_ctx_fdget(fd);
	if (IS_ERR(irq->ctx))
		return PTR_ERR(irq->ctx);
	INIT_WORK(&irq->work, raise_in_work);
	return 0;
}
EXPORT_SYMBOL_GPL(vas_irq_attach);

/**
 * vas_irq_raise - raise an interrupt
 * @irq: attached
 *
 * From any context, an atomic doorbell's ring() included.
 */
void vas_irq_raise(struct vas_irq *irq)
{
	if (likely(eventfd_signal_allowed()))
		vas_compat_eventfd_signal(irq->ctx);
	else
		queue_work(vas_workqueue, &irq->work);
}
EXPORT_SYMBOL_GPL(vas_irq_raise);

/**
 * vas_irq_detach - undo vas_irq_attach()
 * @irq: nobody raises it any more; what was raised before still reaches the guest
 *
 * May sleep.
 */
void vas_irq_detach(struct vas_irq *irq)
{
	flush_work(&irq->work);
	eventfd_ctx_put(irq->ctx);
}
EXPORT_SYMBOL_GPL(vas_irq_detach);

static bool is_event(const struct vas_event_entry *entry, u32 id)
{
	return entry->id == id && !(entry->sequence & 1) &&
	       (entry->kind == VAS_EVENT_DOORBELL || entry->kind == VAS_EVENT_IRQ) &&
	       !(entry->flags & ~VAS_EVENT_KNOWN) && !entry->name[sizeof(entry->name) - 1];
}

/*
 * A copy that the owner did not write to meanwhile. -EAGAIN: it is written all the time, or by an
 * owner that died on the way. *allowance: how often it may be read again, this time and for entries
 * to come.
 */
static int read_entry(const struct vas *vas, u32 i, int *allowance, struct vas_event_entry *entry)
{
	u64 offset = vas->sb->extents[VAS_EXT_EVENTS].offset + i * sizeof(*entry);
	struct vas_event_entry again;
	int err;

	do {
		err = vas_backing_read(&vas->backings[0], offset, entry, sizeof(*entry));
		if (!err)
			err = vas_backing_read(&vas->backings[0], offset, &again, sizeof(again));
		if (err)
			return err;
		if (!(entry->sequence & 1) && entry->sequence == again.sequence)
			return 0;
		cond_resched();
	} while (--*allowance > 0);
	return -EAGAIN;
}

/**
 * vas_event_find - what the owner says of an event
 * @vas: the binding
 * @id: the event's
 * @entry: filled in with a checked copy
 *
 * The eventfds themselves come from user space: the table has none. May sleep.
 *
 * Return: 0; -ENOENT; -EIO; -EAGAIN: it is not among those that can be read, and some are written
 * all the time.
 */
int vas_event_find(struct vas *vas, u32 id, struct vas_event_entry *entry)
{
	int err, result = -ENOENT, allowance = MAX_TRIES;
	u32 i;

	for (i = 0; id && i < vas->sb->nr_events; i++) {
		err = read_entry(vas, i, &allowance, entry);
		if (!err && is_event(entry, id))
			return 0;
		if (err == -EAGAIN)
			result = err; /* it may be this one, or not */
		else if (err)
			return err;
	}
	return result;
}
EXPORT_SYMBOL_GPL(vas_event_find);
