// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "backing.h"

#include <linux/cred.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/magic.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>

#include <linux/vas.h>

#include "binding.h"
#include "../compat/compat.h"
#include "view.h"

#define SEALS_NEEDED	 (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define SEALS_NO_WRITING (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

static enum vas_backing_kind kind_of(const struct inode *inode)
{
	if (shmem_mapping(inode->i_mapping))
		return VAS_BACKING_SHMEM;
	return inode->i_sb->s_magic == HUGETLBFS_MAGIC ? VAS_BACKING_HUGETLB : VAS_BACKING_OTHER;
}

/* F_SEAL_*, as F_GET_SEALS would tell; 0 for files that cannot be sealed. */
unsigned int vas_file_seals(const struct file *file)
{
	struct inode *inode = file_inode(file);

	switch (kind_of(inode)) {
	case VAS_BACKING_SHMEM:
		return READ_ONCE(SHMEM_I(inode)->seals);
	case VAS_BACKING_HUGETLB:
		return READ_ONCE(HUGETLBFS_I(inode)->seals);
	default:
		return 0;
	}
}

/* Without asking its file system, which may be a process that never answers. */
static int check_file(const struct file *file, u32 flags)
{
	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (!S_ISREG(file_inode(file)->i_mode))
		return -EINVAL;
	if (flags & VAS_OPEN_SEALED && (vas_file_seals(file) & SEALS_NEEDED) != SEALS_NEEDED)
		return -EPERM;
	return 0;
}

static void describe(struct vas_backing *backing, struct file *file)
{
	struct inode *inode = file_inode(file);

	backing->file = file;
	backing->size = i_size_read(inode);
	backing->kind = kind_of(inode);
	backing->memcg = get_mem_cgroup_from_mm(current->mm);
	backing->shift = PAGE_SHIFT;
	if (backing->kind == VAS_BACKING_HUGETLB)
		backing->shift = huge_page_shift(hstate_inode(inode));
}

/* Pages are written without asking the file: what it does not allow is not to be done. */
static struct file *open_again(struct file *file, bool readonly)
{
	struct file *again;
	int err;

	again = dentry_open(&file->f_path, (readonly ? O_RDONLY : O_RDWR) | O_LARGEFILE | O_CLOEXEC,
			    current_cred());
	if (IS_ERR(again) || readonly)
		return again;
	err = mapping_map_writable(again->f_mapping);
	if (err) {
		fput(again);
		return ERR_PTR(err);
	}
	return again;
}

/**
 * vas_backing_open - open a file again, for us alone
 * @backing: filled in
 * @file: any open file description of it
 * @flags: VAS_OPEN_*
 *
 * An fd that came over a socket or a fork shares its open file description, and with it its locks,
 * with the sender; hence one of our own. It is read-only if @file cannot be written, or is sealed
 * against that. May sleep.
 *
 * Return: 0; -EBADF: @file cannot be read; -EINVAL: not a regular file; -EPERM: VAS_OPEN_SEALED,
 * and it is not, or it is being sealed now; or what opening said.
 */
int vas_backing_open(struct vas_backing *backing, struct file *file, u32 flags)
{
	bool readonly = flags & VAS_OPEN_READONLY || !(file->f_mode & FMODE_WRITE) ||
			vas_file_seals(file) & SEALS_NO_WRITING;
	int err;

	err = check_file(file, flags);
	if (err)
		return err;
	file = open_again(file, readonly);
	if (IS_ERR(file))
		return PTR_ERR(file);
	describe(backing, file);
	return 0;
}

void vas_backing_close(struct vas_backing *backing)
{
	if (!backing->file)
		return;
	if (!vas_backing_is_readonly(backing))
		mapping_unmap_writable(backing->file->f_mapping);
	fput(backing->file);
	mem_cgroup_put(backing->memcg);
	backing->file = NULL;
}

bool vas_backing_is_readonly(const struct vas_backing *backing)
{
	return !(backing->file->f_mode & FMODE_WRITE);
}

/* The file is the one that the table means: device and inode as stat(2) shows them, and size. */
bool vas_backing_is(const struct vas_backing *backing, const struct vas_backing_entry *entry)
{
	const struct inode *inode = file_inode(backing->file);

	return entry->flags & VAS_BACKING_USED &&
	       entry->dev == new_encode_dev(inode->i_sb->s_dev) && entry->ino == inode->i_ino &&
	       entry->size <= backing->size && entry->page_size == 1ull << backing->shift;
}

static int read_file(struct file *file, loff_t pos, void *buf, size_t len)
{
	while (len) {
		ssize_t nr = kernel_read(file, buf, len, &pos);

		if (nr <= 0)
			return -EIO;
		buf += nr;
		len -= nr;
	}
	return 0;
}

static int write_file(struct file *file, loff_t pos, const void *buf, size_t len)
{
	while (len) {
		ssize_t nr = kernel_write(file, buf, len, &pos);

		if (nr <= 0)
			return -EIO;
		buf += nr;
		len -= nr;
	}
	return 0;
}

/* Through the file: holes read as zeros and stay holes, pages that are swapped out come back. */
int vas_backing_read(const struct vas_backing *backing, u64 offset, void *buf, size_t len)
{
	struct mem_cgroup *old = set_active_memcg(backing->memcg);
	int err = read_file(backing->file, offset, buf, len);

	set_active_memcg(old);
	return err;
}

int vas_backing_write(const struct vas_backing *backing, u64 offset, const void *buf, size_t len)
{
	struct mem_cgroup *old = set_active_memcg(backing->memcg);
	int err = write_file(backing->file, offset, buf, len);

	set_active_memcg(old);
	return err;
}

static struct folio *find_folio(const struct vas_backing *backing, u64 offset)
{
	struct folio *folio = vas_compat_folio(backing->file->f_mapping, offset, backing->shift);

	/* What was allocated ahead (fallocate) isn't zeroed before its first proper use. */
	if (folio && !folio_test_uptodate(folio)) {
		folio_put(folio);
		folio = NULL;
	}
	return folio;
}

static struct folio *read_shmem(const struct vas_backing *backing, u64 offset)
{
	struct page *page = shmem_read_mapping_page(backing->file->f_mapping, offset >> PAGE_SHIFT);

	return IS_ERR(page) ? ERR_CAST(page) : page_folio(page);
}

/* Have hugetlbfs allocate the page, which uses what an mmap of the file has reserved. */
static struct folio *alloc_hugetlb(const struct vas_backing *backing, u64 offset)
{
	u64 size = 1ull << backing->shift;
	int err;

	err = vfs_fallocate(backing->file, FALLOC_FL_KEEP_SIZE, offset & ~(size - 1), size);
	return err ? ERR_PTR(err) : find_folio(backing, offset);
}

static struct folio *alloc_folio(const struct vas_backing *backing, u64 offset)
{
	struct mem_cgroup *old = set_active_memcg(backing->memcg);
	struct folio *folio;

	folio = backing->kind == VAS_BACKING_SHMEM ? read_shmem(backing, offset) :
						     alloc_hugetlb(backing, offset);
	set_active_memcg(old);
	return folio;
}

/* The folio that holds offset, referenced, whatever it takes. */
static int make_folio(const struct vas_backing *backing, u64 offset, u32 flags,
		      struct folio **folio)
{
	if (backing->kind == VAS_BACKING_OTHER)
		return -EOPNOTSUPP;
	*folio = find_folio(backing, offset);
	if (*folio)
		return 0;
	if (flags & VAS_SEGMENT_ATOMIC)
		return -EAGAIN;
	if (!(flags & VAS_SEGMENT_ALLOC))
		return -ENODATA;
	*folio = alloc_folio(backing, offset);
	if (IS_ERR_OR_NULL(*folio))
		return PTR_ERR(*folio) == -ENOMEM ? -ENOMEM : -EIO;
	return 0;
}

/* How much of the folio is good from at on; 0: memory that has failed. */
static u64 healthy_len(const struct vas_backing *backing, struct folio *folio, u64 at)
{
	if (backing->kind == VAS_BACKING_HUGETLB)
		return folio_test_hwpoison(folio) ? 0 : folio_size(folio) - at;
	if (PageHWPoison(folio_page(folio, at >> PAGE_SHIFT)))
		return 0;
	if (folio_test_large(folio) && folio_test_has_hwpoisoned(folio))
		return PAGE_SIZE - offset_in_page(at);
	return folio_size(folio) - at;
}

/**
 * vas_segment_get - reach bytes of a backing
 * @backing: in which
 * @offset: where in the file
 * @len: how much is wanted; @segment may have less
 * @flags: VAS_SEGMENT_*
 * @segment: filled in, to be given back with vas_segment_put()
 *
 * May sleep, unless VAS_SEGMENT_ATOMIC.
 *
 * Return: 0; -ENODATA: not in memory, most likely a hole (read it through the file, or pass
 * VAS_SEGMENT_ALLOC); -EAGAIN: the same, with VAS_SEGMENT_ATOMIC; -ENOMEM: no memory, or no more
 * for the cgroup of who opened the file; -EIO: beyond the end, or bad memory; -EOPNOTSUPP: a file
 * whose pages are not for us.
 */
int vas_segment_get(const struct vas_backing *backing, u64 offset, u64 len, u32 flags,
		    struct vas_segment *segment)
{
	struct folio *folio;
	u64 at, good;
	int err;

	err = make_folio(backing, offset, flags, &folio);
	if (err)
		return err;
	/* A folio lies naturally aligned in its file. */
	at = offset & (folio_size(folio) - 1);
	good = healthy_len(backing, folio, at);
	if (!good) {
		folio_put(folio);
		return -EIO;
	}
	segment->addr = folio_address(folio) + at;
	segment->len = min(len, good);
	segment->folio = folio;
	return 0;
}

void vas_segment_put(struct vas_segment *segment)
{
	folio_put(segment->folio);
}

/**
 * vas_backing_offer - bring the fd of a backing that the layout names
 * @vas: the binding
 * @fd: of the calling process; its file is opened again
 *
 * Until then the regions in it are there, but out of reach (-ENXIO). If @fd cannot be written, or
 * is sealed against that, they can only be read, whatever the layout says. May sleep.
 *
 * Return: the number of the backing; -ENOENT: the layout has none that is this file; -EEXIST: it is
 * available already; -EBADF and others: as from opening it.
 */
int vas_backing_offer(struct vas *vas, int fd)
{
	struct vas_backing backing;
	struct file *file = fget(fd);
	int err, number;

	if (!file)
		return -EBADF;
	err = vas_backing_open(&backing, file, vas->readonly ? VAS_OPEN_READONLY : 0);
	fput(file);
	if (err)
		return err;
	number = vas_binding_add_backing(vas, &backing);
	if (number < 0) {
		vas_backing_close(&backing);
		return number;
	}
	err = vas_view_rebuild(vas);
	return err ? err : number;
}
EXPORT_SYMBOL_GPL(vas_backing_offer);
