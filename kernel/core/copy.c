// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Copies of any length, from any context, through the file's own pages. */
#include <linux/minmax.h>
#include <linux/sched.h>

#include <linux/vas.h>

#include "backing.h"
#include "binding.h"
#include "dirty.h"
#include "local.h"
#include "memory.h"
#include "section.h"

/* A section no longer than this: an owner that changes the layout waits for it. */
#define MAX_PER_SECTION (1ul << 20)

#define MAX_TRIES 100

/* One copy: where it goes on, and what is left. Reads write to buf, writes only read it. */
struct copy {
	u64 gpa;
	void *buf;
	size_t len;
	u32 flags;
};

static void advance(struct copy *copy, size_t nr)
{
	copy->gpa += nr;
	copy->buf += nr;
	copy->len -= nr;
}

static void move_bytes(struct copy *copy, const struct vas_segment *segment)
{
	if (copy->flags & VAS_PROT_WRITE) {
		vas_bytes_copy(segment->addr, copy->buf, segment->len);
		vas_folio_dirty(segment->folio);
	} else {
		vas_bytes_copy(copy->buf, segment->addr, segment->len);
	}
}

/* Without pages: a hole that is read, or a file that is not made of memory. One page at most. */
static ssize_t copy_through_file(struct copy *copy, const struct vas_memory_range *range)
{
	size_t nr = min_t(u64, range->len, PAGE_SIZE - offset_in_page(range->offset));
	int err;

	if (copy->flags & VAS_NO_SLEEP)
		return -EAGAIN;
	if (copy->flags & VAS_PROT_WRITE)
		err = vas_backing_write(range->backing, range->offset, copy->buf, nr);
	else
		err = vas_backing_read(range->backing, range->offset, copy->buf, nr);
	return err ? err : nr;
}

static u32 segment_flags(u32 flags)
{
	return (flags & VAS_PROT_WRITE ? VAS_SEGMENT_ALLOC : 0) |
	       (flags & VAS_NO_SLEEP ? VAS_SEGMENT_ATOMIC : 0);
}

/* Copy what is contiguous at the start of a range: bytes, or -errno. */
static ssize_t copy_range(struct vas *vas, struct copy *copy, const struct vas_memory_range *range)
{
	struct vas_segment segment;
	int err;

	if (!range->backing)
		return vas_local_copy(vas, range->offset, copy->buf, range->len, copy->flags);
	err = vas_segment_get(range->backing, range->offset, range->len, segment_flags(copy->flags),
			      &segment);
	if (err == -ENODATA || err == -EOPNOTSUPP)
		return copy_through_file(copy, range);
	if (err)
		return err;
	move_bytes(copy, &segment);
	vas_segment_put(&segment);
	return segment.len;
}

static int copy_some(struct vas_section *section, struct copy *copy)
{
	bool marks = copy->flags & VAS_PROT_WRITE && section->view->flags & VAS_STATE_TRACKING;
	struct vas_memory_range range;
	ssize_t nr;
	int err;

	err = vas_memory_range_find(section, copy->gpa, copy->len, copy->flags, &range);
	if (!err && marks)
		err = vas_dirty_prepare(section->vas, copy->gpa, range.len, copy->flags);
	if (err)
		return err;
	nr = copy_range(section->vas, copy, &range);
	if (nr < 0)
		return nr;
	if (marks)
		vas_dirty_mark(section->vas, copy->gpa, nr);
	advance(copy, nr);
	return 0;
}

/* One section's worth. An observer's section may turn out to have seen two layouts: again, then. */
static int copy_section(struct vas *vas, struct copy *copy)
{
	struct copy part = *copy;
	struct vas_section section;
	int err, changed;

	part.len = min(part.len, MAX_PER_SECTION);
	err = vas_section_enter(vas, copy->flags, &section);
	if (err)
		return err;
	while (part.len && !err)
		err = copy_some(&section, &part);
	changed = vas_section_leave(&section);
	if (changed)
		return -ESTALE;
	advance(copy, part.gpa - copy->gpa);
	return err;
}

static int copy_all(struct vas *vas, struct copy *copy)
{
	int err = 0, tries = 0;

	while (copy->len && !err) {
		err = copy_section(vas, copy);
		if (err == -ESTALE)
			err = ++tries < MAX_TRIES ? 0 : -EAGAIN;
		if (copy->len && !(copy->flags & VAS_NO_SLEEP))
			cond_resched();
	}
	return err;
}

/* gpa + len may wrap, which is a fault like any other, after as much as there is. */
static int run(struct vas *vas, struct copy *copy, size_t *done)
{
	size_t beyond = 0, len = copy->len;
	int err;

	if (copy->len && copy->len - 1 > ~0ull - copy->gpa) {
		beyond = copy->len - (size_t)-copy->gpa;
		copy->len -= beyond;
	}
	err = copy_all(vas, copy);
	if (!err && beyond)
		err = -EFAULT;
	if (done)
		*done = len - beyond - copy->len;
	return err;
}

/**
 * vas_copy_to - write guest memory
 * @vas: the binding
 * @gpa: where
 * @buf: what
 * @len: how much; any length, across regions, 0 is fine
 * @done: how much of it was written; may be NULL
 *
 * Stops at the first byte that cannot be written; all before it are. The width of single accesses
 * is memcpy's: fields that the guest reads meanwhile want vas_cache_at() and WRITE_ONCE(). Dirty
 * pages are logged while somebody tracks them. May sleep, in any task: the caller's, a kernel
 * thread, a work queue.
 *
 * Return: 0; -EFAULT: a hole; -EACCES: read-only memory or binding; -EIO: the page is not to be
 * had; -ENXIO: the backing's fd is not available, or the memory is local to another process;
 * -EAGAIN: frozen; -ENOMEM: the log's page for it may not be pinned, see vas_bind_file(); or what
 * vas_enter() says.
 */
int vas_copy_to(struct vas *vas, u64 gpa, const void *buf, size_t len, size_t *done)
{
	struct copy copy = { .gpa = gpa, .buf = (void *)buf, .len = len, .flags = VAS_PROT_WRITE };

	might_sleep();
	return run(vas, &copy, done);
}
EXPORT_SYMBOL_GPL(vas_copy_to);

/**
 * vas_copy_from - read guest memory
 * @vas: the binding
 * @gpa: where
 * @buf: to where
 * @len: how much; any length, across regions, 0 is fine
 * @done: how much of it was read; may be NULL
 *
 * As vas_copy_to(); memory that was never touched reads as zeros and stays untouched. May sleep.
 *
 * Return: as vas_copy_to(); -EAGAIN for an observer: the layout changes all the time.
 */
int vas_copy_from(struct vas *vas, u64 gpa, void *buf, size_t len, size_t *done)
{
	struct copy copy = { .gpa = gpa, .buf = buf, .len = len };

	might_sleep();
	return run(vas, &copy, done);
}
EXPORT_SYMBOL_GPL(vas_copy_from);

/**
 * vas_copy_to_atomic - write guest memory without sleeping
 * @vas: the binding
 * @gpa: where
 * @buf: what
 * @len: how much; keep it short
 * @done: how much of it was written; may be NULL
 *
 * Return: as vas_copy_to(), and -EAGAIN wherever that would have slept: a page that isn't in
 * memory, a layout that has just changed. The same copy in process context, or the same later, may
 * succeed.
 */
int vas_copy_to_atomic(struct vas *vas, u64 gpa, const void *buf, size_t len, size_t *done)
{
	struct copy copy = {
		.gpa = gpa, .buf = (void *)buf, .len = len, .flags = VAS_PROT_WRITE | VAS_NO_SLEEP
	};

	return run(vas, &copy, done);
}
EXPORT_SYMBOL_GPL(vas_copy_to_atomic);

/**
 * vas_copy_from_atomic - read guest memory without sleeping
 * @vas: the binding
 * @gpa: where
 * @buf: to where
 * @len: how much; keep it short
 * @done: how much of it was read; may be NULL
 *
 * Return: as vas_copy_to_atomic().
 */
int vas_copy_from_atomic(struct vas *vas, u64 gpa, void *buf, size_t len, size_t *done)
{
	struct copy copy = { .gpa = gpa, .buf = buf, .len = len, .flags = VAS_NO_SLEEP };

	return run(vas, &copy, done);
}
EXPORT_SYMBOL_GPL(vas_copy_from_atomic);
