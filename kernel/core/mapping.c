// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Maps: the vmap of 2009, pinned, seen by everybody, and given back on request. */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <linux/vas.h>

#include "binding.h"
#include "core/range.h"
#include "counters.h"
#include "dirty.h"
#include "mapping.h"
#include "memory.h"
#include "inode.h"
#include "trace.h"
#include "view.h"

/* A section no longer than this: an owner that changes the layout waits for it. */
#define MAX_PER_SECTION (4ull << 20)

void vas_mapping_put(struct vas_mapping *mapping)
{
	if (refcount_dec_and_test(&mapping->refs))
		kfree(mapping);
}

/* Page aligned, as pages are what is pinned. */
static u64 first_page(const struct vas_mapping *mapping)
{
	return mapping->gpa & PAGE_MASK;
}

static u64 page_bytes(const struct vas_mapping *mapping)
{
	return PAGE_ALIGN(mapping->gpa + mapping->len) - first_page(mapping);
}

/* All of the range is there, and allows what the map is for. */
static int check_range(const struct vas_section *section, const struct vas_mapping *mapping)
{
	u32 flags = mapping->flags & VAS_MAPPING_WRITE ? VAS_PROT_WRITE : 0;
	u64 gpa = mapping->gpa, left = mapping->len;
	struct vas_memory_range range;
	int err;

	while (left) {
		err = vas_memory_range_find(section, gpa, left, flags, &range);
		if (err)
			return err;
		gpa += range.len;
		left -= range.len;
	}
	return 0;
}

static int pin_range(struct vas_mapping *mapping, const struct vas_memory_range *range)
{
	u32 flags = mapping->flags & VAS_MAPPING_WRITE ? 0 : VAS_PAGES_READONLY;

	if (!range->backing)
		return vas_pages_add_user(&mapping->window, mapping->vas->account.mm, range->offset,
					  range->len, flags);
	return vas_pages_add(&mapping->window, range->backing, range->offset, range->len);
}

/* The pages of the first part of what is left, in a section of its own: bytes, or -errno. */
static ssize_t pin_some(struct vas_mapping *mapping, u64 gpa, u64 left)
{
	struct vas_section section;
	struct vas_memory_range range;
	int err;

	err = vas_enter(mapping->vas, 0, &section);
	if (err)
		return err;
	if (section.view->generation != mapping->generation)
		mapping->generation = 0;
	err = vas_memory_range_find(&section, gpa, min(left, MAX_PER_SECTION), 0, &range);
	if (!err)
		err = pin_range(mapping, &range);
	if (vas_leave(&section) && !err)
		err = -EAGAIN;
	return err ? err : range.len;
}

static int pin_pages(struct vas_mapping *mapping)
{
	u64 gpa = first_page(mapping), left = page_bytes(mapping);

	while (left) {
		ssize_t nr = pin_some(mapping, gpa, left);

		if (nr < 0)
			return nr;
		gpa += nr;
		left -= nr;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/*
 * The pin, in a section: a change that takes the range away either comes before, and is seen here,
 * or finds the pin. After that the layout holds until there is a request.
 */
static int claim_pin(struct vas_mapping *mapping)
{
	struct vas *vas = mapping->vas;
	struct vas_section section;
	int err;

	err = vas_enter(vas, mapping->flags & VAS_MAPPING_WRITE ? VAS_PROT_WRITE : 0, &section);
	if (err)
		return err;
	mapping->generation = section.view->generation;
	err = check_range(&section, mapping);
	if (!err)
		err = vas_mapping_claim_pin(mapping);
	if (vas_leave(&section) && !err)
		err = -EAGAIN;
	return err;
}

static int acquire(struct vas_mapping *mapping)
{
	u32 flags = mapping->flags & VAS_MAPPING_WRITE ? 0 : VAS_PAGES_READONLY;
	int err = 0;

	if (mapping->flags & VAS_MAPPING_WRITE)
		err = vas_dirty_prepare(mapping->vas, mapping->gpa, mapping->len, 0);
	if (!err)
		err = claim_pin(mapping);
	if (!err)
		err = pin_pages(mapping);
	if (!err)
		vas_mapping_tell_generation(mapping);
	if (!err && !(mapping->flags & VAS_MAPPING_PAGES))
		err = vas_pages_map(&mapping->window, flags);
	return err;
}

/* Listed, but not yet live. -EAGAIN: the range is about to go. */
static int announce(struct vas_mapping *mapping)
{
	struct vas_inode_info *info = mapping->vas->info;
	int err = 0;

	spin_lock(&info->lock);
	if (vas_inode_is_invalid(info, mapping->gpa, mapping->len))
		err = -EAGAIN;
	else
		list_add_tail(&mapping->in_inode, &info->mappings);
	spin_unlock(&info->lock);
	return err;
}

/* Let go of everything, as far as it was acquired: the pages first, then what tells of them. */
static void withdraw(struct vas_mapping *mapping)
{
	struct vas_inode_info *info = mapping->vas->info;

	vas_pages_clean(&mapping->window);
	spin_lock(&info->lock);
	vas_mapping_release_pin_locked(mapping);
	list_del(&mapping->in_inode);
	spin_unlock(&info->lock);
	wake_up_all(&info->wait);
}

/* From here on the holder gets requests. -EAGAIN: there was one meanwhile. */
static int go_live(struct vas_mapping *mapping)
{
	struct vas_inode_info *info = mapping->vas->info;
	int err = 0;

	spin_lock(&info->lock);
	if (mapping->request != VAS_REQUEST_NONE)
		err = -EAGAIN;
	else
		mapping->is_live = true;
	spin_unlock(&info->lock);
	return err;
}

static int init_mapping(struct vas_mapping *mapping)
{
	int err;

	err = vas_pages_init(&mapping->window, &mapping->vas->account,
			     page_bytes(mapping) >> PAGE_SHIFT);
	if (err)
		return err;
	err = announce(mapping);
	if (err) {
		vas_pages_clean(&mapping->window);
		return err;
	}
	err = acquire(mapping);
	if (!err)
		err = go_live(mapping);
	if (err)
		withdraw(mapping);
	return err;
}

/**
 * vas_mapping_create - map guest memory for long
 * @vas: the binding
 * @gpa: start of the range
 * @len: its length, not 0; may reach over regions
 * @flags: VAS_MAPPING_WRITE: to be written, too; VAS_MAPPING_MARKS: the caller marks what it
 *	writes; VAS_MAPPING_PAGES: pin the pages, but give them no address
 * @result: the map, with one reference, which vas_mapping_destroy() drops
 *
 * The pages are pinned, holes filled, and contiguous at vas_mapping_addr(), from then on good in
 * any context, until the last vas_mapping_destroy(): even if the range leaves the guest's address
 * space by force. Everybody can see the map, and the owner may request it: see struct vas_ops. All
 * of a writable map counts as dirty for as long as it lives, unless VAS_MAPPING_MARKS promises
 * vas_mark() after each write. An observer's map is seen by nobody, and goes stale in silence. May
 * sleep.
 *
 * Return: 0; -EINVAL: @flags; -EFAULT, -EACCES, -ENXIO, -EIO, -EAGAIN: as vas_copy_to(), and
 * -EAGAIN while the owner takes the range away; -ENOSPC: no pin is free; -EOPNOTSUPP: a backing
 * whose pages are not for us; -E2BIG; -ENOMEM: no memory, or the process that bound may not pin as
 * much, see vas_bind_file(); -EINTR: a fatal signal came first.
 */
int vas_mapping_create(struct vas *vas, u64 gpa, u64 len, u32 flags, struct vas_mapping **result)
{
	struct vas_mapping *mapping;
	struct mem_cgroup *caller;
	int err;

	if (flags & ~(VAS_MAPPING_WRITE | VAS_MAPPING_MARKS | VAS_MAPPING_PAGES))
		return -EINVAL;
	if (!len || !vas_range_fits(gpa, len, vas->sb->limit))
		return -EFAULT;
	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	if (!mapping)
		return -ENOMEM;
	refcount_set(&mapping->users, 1);
	refcount_set(&mapping->refs, 1);
	mapping->vas = vas;
	mapping->gpa = gpa;
	mapping->len = len;
	mapping->flags = flags;
	mapping->pin = VAS_NO_ENTRY;
	vas_invalidate_begin(mapping);
	caller = set_active_memcg(vas->backings[0].memcg);
	err = init_mapping(mapping);
	set_active_memcg(caller);
	if (err) {
		vas_invalidate_end();
		vas_mapping_put(mapping);
		return err;
	}
	vas_get(vas);
	vas_count(VAS_COUNT_MAPPINGS, 1);
	vas_count(VAS_COUNT_MAPS, 1);
	trace_vas_mapping_create(mapping);
	*result = mapping;
	return 0;
}
EXPORT_SYMBOL_GPL(vas_mapping_create);

/**
 * vas_mapping_get - one more reference to a map
 * @mapping: to which the caller has one
 *
 * Return: @mapping
 */
struct vas_mapping *vas_mapping_get(struct vas_mapping *mapping)
{
	refcount_inc(&mapping->users);
	return mapping;
}
EXPORT_SYMBOL_GPL(vas_mapping_get);

/**
 * vas_mapping_destroy - drop a reference to a map
 * @mapping: nothing touches its memory on behalf of this reference any more; NULL is allowed
 *
 * With the last one the pages are let go; those of a writable map are marked dirty. May be called
 * from the ops of the same map. May sleep.
 */
void vas_mapping_destroy(struct vas_mapping *mapping)
{
	struct vas *vas;

	if (!mapping || !refcount_dec_and_test(&mapping->users))
		return;
	vas = mapping->vas;
	trace_vas_mapping_destroy(mapping);
	vas_count(VAS_COUNT_MAPPINGS, -1);
	if (mapping->flags & VAS_MAPPING_WRITE) {
		/* Before the pin goes: a harvest sees the one or the other. */
		vas_dirty_mark(vas, mapping->gpa, mapping->len);
		vas_pages_dirty(&mapping->window);
	}
	withdraw(mapping);
	vas_invalidate_end();
	vas_mapping_put(mapping);
	vas_put(vas);
}
EXPORT_SYMBOL_GPL(vas_mapping_destroy);

/**
 * vas_mapping_addr - where the map is
 * @mapping: the map
 *
 * Return: the kernel address of its first byte, which does not change; NULL with VAS_MAPPING_PAGES.
 */
void *vas_mapping_addr(const struct vas_mapping *mapping)
{
	void *first = mapping->window.addr;

	return first ? first + offset_in_page(mapping->gpa) : NULL;
}
EXPORT_SYMBOL_GPL(vas_mapping_addr);

/**
 * vas_mapping_gpa - what the map is of
 * @mapping: the map
 *
 * Return: the guest-physical address of its first byte.
 */
u64 vas_mapping_gpa(const struct vas_mapping *mapping)
{
	return mapping->gpa;
}
EXPORT_SYMBOL_GPL(vas_mapping_gpa);

/**
 * vas_mapping_len - how large the map is
 * @mapping: the map
 *
 * Return: its length in bytes, as asked for.
 */
u64 vas_mapping_len(const struct vas_mapping *mapping)
{
	return mapping->len;
}
EXPORT_SYMBOL_GPL(vas_mapping_len);

/**
 * vas_mapping_request - what the owner asks of the mapping's holder
 * @mapping: the mapping
 *
 * For holders that look now and then instead of being called.
 *
 * Return: VAS_REQUEST_NONE: nothing; VAS_REQUEST_UNMAP: destroy it; VAS_REQUEST_QUIESCE: do not
 * write.
 */
enum vas_request vas_mapping_request(const struct vas_mapping *mapping)
{
	enum vas_request request = READ_ONCE(mapping->request);

	return request != VAS_REQUEST_NONE ? request : vas_mapping_pin_request(mapping);
}
EXPORT_SYMBOL_GPL(vas_mapping_request);

/**
 * vas_mapping_is_attached - the pages are still the file's
 * @mapping: the map
 *
 * Nothing keeps a process from punching a hole into the file where somebody has it mapped: what is
 * written there afterwards reaches nobody. This tells; mapping anew helps. A page that is being
 * swapped counts as detached, too. Linear in the number of pages.
 *
 * Return: true if all pages were attached at the time of the look.
 */
bool vas_mapping_is_attached(const struct vas_mapping *mapping)
{
	return vas_pages_is_attached(&mapping->window);
}
EXPORT_SYMBOL_GPL(vas_mapping_is_attached);
