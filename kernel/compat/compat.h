/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What differs between the kernels that are supported, 6.1 and later. No version test is anywhere
 * else.
 */
#ifndef VAS_COMPAT_H
#define VAS_COMPAT_H

#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#include <linux/filelock.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "vas.ko wants Linux 6.1 or later"
#endif

/* A lock request of the kind that F_OFD_SETLK makes: it belongs to the open file description. */
static inline void vas_compat_ofd_lock(struct file_lock *lock, struct file *file, int type)
{
	locks_init_lock(lock);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	lock->c.flc_flags = FL_POSIX | FL_OFDLCK;
	lock->c.flc_type = type;
	lock->c.flc_owner = file;
	lock->c.flc_file = file;
	lock->c.flc_pid = current->tgid;
#else
	lock->fl_flags = FL_POSIX | FL_OFDLCK;
	lock->fl_type = type;
	lock->fl_owner = file;
	lock->fl_file = file;
	lock->fl_pid = current->tgid;
#endif
}

static inline void vas_compat_lock_owner(struct file_lock *lock, void *owner)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	lock->c.flc_owner = owner;
#else
	lock->fl_owner = owner;
#endif
}

/* What vfs_test_lock() left in the request: F_UNLCK if nobody stands against it. */
static inline int vas_compat_lock_type(const struct file_lock *lock)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	return lock->c.flc_type;
#else
	return lock->fl_type;
#endif
}

/* And the process that took the lock which is in the way. */
static inline int vas_compat_lock_pid(const struct file_lock *lock)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
	return lock->c.flc_pid;
#else
	return lock->fl_pid;
#endif
}

/*
 * The folio of the page cache that holds file offset `offset`, referenced, or NULL. Does not sleep.
 */
static inline struct folio *vas_compat_folio(struct address_space *mapping, u64 offset,
					     unsigned int shift)
{
	struct folio *folio;

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
	/* hugetlbfs counts in its own pages; shift is PAGE_SHIFT elsewhere. */
	folio = __filemap_get_folio(mapping, offset >> shift, 0, 0);
#else
	folio = __filemap_get_folio(mapping, offset >> PAGE_SHIFT, 0, 0);
#endif
	return IS_ERR_OR_NULL(folio) ? NULL : folio;
}

static inline void vas_compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/* Pin pages of another process, FOLL_* in flags: how many, or -errno. */
static inline long vas_compat_pin_user(struct mm_struct *mm, unsigned long start, unsigned long nr,
				       unsigned int flags, struct page **pages)
{
	long pinned;

	mmap_read_lock(mm);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	pinned = pin_user_pages_remote(mm, start, nr, flags, pages, NULL);
#else
	pinned = pin_user_pages_remote(mm, start, nr, flags, pages, NULL, NULL);
#endif
	mmap_read_unlock(mm);
	return pinned;
}

/*
 * Before memfd_pin_folios() a reference has to do: it keeps the page, but doesn't move it out of
 * memory that somebody may want to unplug.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define VAS_COMPAT_PIN_FOLIOS 1
#else
#define VAS_COMPAT_PIN_FOLIOS 0
static inline long memfd_pin_folios(struct file *file, loff_t start, loff_t end,
				    struct folio **folios, unsigned int max, pgoff_t *offset)
{
	return -EOPNOTSUPP;
}

/* Of none that was pinned. */
static inline void unpin_folio(struct folio *folio)
{
}
#endif

#endif
