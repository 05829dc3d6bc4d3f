// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "binder.h"

#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/string.h>

#include "binding.h"
#include "../compat/compat.h"
#include "core/layout.h"
#include "core/range.h"
#include "dirty.h"

/* What all pins of a dead binder together may make us mark: 1 TiB, 32 MiB of log. */
#define MAX_MARKED_CHUNKS 8192

/* Entries that are looked at before others may run. */
#define ENTRIES_AT_ONCE 4096

static int set_lock(struct file *file, u64 at, int type)
{
	struct file_lock lock;

	vas_compat_ofd_lock(&lock, file, type);
	lock.fl_start = at;
	lock.fl_end = at;
	return vfs_lock_file(file, F_SETLK, &lock, NULL);
}

static u64 lock_offset(const struct vas *vas, u32 index)
{
	return vas->sb->extents[VAS_EXT_BINDERS].offset + index;
}

/* Each tracker repairs the log, and takes all that was ever touched. */
static void set_log_incomplete(struct vas *vas)
{
	__atomic_fetch_add(&vas->control->log_incomplete, 1, __ATOMIC_SEQ_CST);
}

static void clear_slots(struct vas *vas, u32 tag)
{
	struct vas_slot *slots = vas->slots_window.addr;
	u32 i;

	for (i = 0; i < vas->sb->nr_slots; i++) {
		if (!(i % ENTRIES_AT_ONCE))
			cond_resched();
		if (READ_ONCE(slots[i].binder) != tag)
			continue;
		/*
		 * It died inside a section: what it wrote there and marked half, or not, nobody
		 * knows.
		 */
		if (READ_ONCE(slots[i].generation))
			set_log_incomplete(vas);
		/* Whoever sees the slot empty, the owner at P5, sees the count. */
		smp_store_release(&slots[i].generation, 0);
		/* The slot is empty before anybody else can claim it. */
		smp_store_release(&slots[i].binder, 0);
	}
}

/*
 * A writable map counts as dirty until it is gone, the death of its holder included. What a pin
 * says is anybody's word, and marking costs time and memory: where that would be much, all is
 * dirty.
 */
static void mark_pin(struct vas *vas, const struct vas_pin *pin, u32 *allowance)
{
	u64 gpa = READ_ONCE(pin->gpa), size = READ_ONCE(pin->size);

	if (!(READ_ONCE(pin->flags) & VAS_PIN_WRITABLE) ||
	    !vas_range_fits(gpa, size, vas->sb->limit))
		return;
	if (vas_dirty_mark_left(vas, gpa, size, allowance))
		set_log_incomplete(vas);
}

static void clear_pins(struct vas *vas, u32 tag)
{
	u32 i, end = vas_pins_end(vas->control, vas->sb->nr_pins), allowance = MAX_MARKED_CHUNKS;
	struct vas_pin *pins = vas->pins_window.addr;

	for (i = 0; i < end; i++) {
		if (!(i % ENTRIES_AT_ONCE))
			cond_resched();
		if (READ_ONCE(pins[i].binder) != tag)
			continue;
		mark_pin(vas, &pins[i], &allowance);
		WRITE_ONCE(pins[i].generation, 0);
		/* The marks come before. */
		smp_store_release(&pins[i].state, VAS_PIN_FREE);
		smp_store_release(&pins[i].binder, 0); /* as above */
	}
}

static void clear_trackers(struct vas *vas, u32 tag)
{
	struct vas_tracker_entry *trackers = vas->trackers_window.addr;
	u32 i;

	for (i = 0; i < vas->sb->nr_trackers; i++) {
		if (READ_ONCE(trackers[i].binder) != tag)
			continue;
		WRITE_ONCE(trackers[i].state, 0);
		smp_store_release(&trackers[i].binder, 0); /* as above */
	}
}

/* What a binder that died with this index has left behind. The lock of the index is ours. */
static void clear_leftovers(struct vas *vas, u32 index)
{
	clear_slots(vas, index + 1);
	clear_pins(vas, index + 1);
	clear_trackers(vas, index + 1);
}

static struct vas_binder *binder_of(struct vas *vas, u32 index)
{
	return (struct vas_binder *)vas->binders_window.addr + index;
}

static void write_binder(struct vas *vas)
{
	struct vas_binder *binder = binder_of(vas, vas->binder);
	struct vas_binder tell = { .pid = current->tgid };

	strscpy(tell.comm, vas->ops->name, sizeof(tell.comm));
	memcpy(binder, &tell, sizeof(tell));
	smp_store_release(&binder->state, 1);
}

static void clear_binder(struct vas *vas, u32 index)
{
	smp_store_release(&binder_of(vas, index)->state, 0);
}

/**
 * vas_binder_claim - become one of the file's binders
 * @vas: a binding whose windows are open
 *
 * The lock belongs to our open file description, so it ends with the binding, whatever else
 * happens.
 *
 * Return: 0; -EAGAIN: as many binders as there can be are alive; -EINTR: a fatal signal came first.
 */
int vas_binder_claim(struct vas *vas)
{
	struct file *file = vas->backings[0].file;
	u32 i;

	for (i = 0; i < vas->sb->nr_binders; i++) {
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
		if (set_lock(file, lock_offset(vas, i), F_WRLCK))
			continue;
		clear_leftovers(vas, i);
		vas->binder = i;
		write_binder(vas);
		return 0;
	}
	return -EAGAIN;
}

void vas_binder_release(struct vas *vas)
{
	clear_leftovers(vas, vas->binder);
	clear_binder(vas, vas->binder);
	/* At once, and not when the last reference to the file is dropped, some time later. */
	set_lock(vas->backings[0].file, lock_offset(vas, vas->binder), F_UNLCK);
}

/*
 * The slots and pins of binders that have died: for who finds none free. The lock of a dead one's
 * byte keeps other binders away, the mutex the other threads of this one. May sleep.
 */
void vas_binder_reclaim(struct vas *vas)
{
	struct file *file = vas->backings[0].file;
	u32 i;

	mutex_lock(&vas->reclaim_lock);
	for (i = 0; i < vas->sb->nr_binders; i++) {
		cond_resched();
		if (fatal_signal_pending(current))
			break;
		if (i == vas->binder || set_lock(file, lock_offset(vas, i), F_WRLCK))
			continue;
		clear_leftovers(vas, i);
		clear_binder(vas, i);
		set_lock(file, lock_offset(vas, i), F_UNLCK);
	}
	mutex_unlock(&vas->reclaim_lock);
}

/*
 * The owner's lock, on the superblock's first byte, is held, and this process has taken it. A
 * request to read stands against write locks only: others have read locks there for a moment.
 */
bool vas_current_owns(struct file *file, u64 superblock_offset)
{
	struct file_lock lock;

	vas_compat_ofd_lock(&lock, file, F_RDLCK);
	/* In nobody's name, so that a lock of this very file counts, too. */
	vas_compat_lock_owner(&lock, &lock);
	lock.fl_start = superblock_offset;
	lock.fl_end = superblock_offset;
	return !vfs_test_lock(file, &lock) && vas_compat_lock_type(&lock) == F_WRLCK &&
	       vas_compat_lock_pid(&lock) == current->tgid;
}
