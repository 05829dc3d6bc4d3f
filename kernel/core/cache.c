// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The caller-held cache. */
#include <linux/pagemap.h>

#include <linux/vas.h>

#include "backing.h"
#include "binding.h"
#include "counters.h"
#include "dirty.h"
#include "memory.h"
#include "section.h"

/**
 * vas_cache_init - an empty cache
 * @cache: its holder's
 * @vas: the binding; the cache has a reference of its own
 */
void vas_cache_init(struct vas_cache *cache, struct vas *vas)
{
	*cache = (struct vas_cache){ .vas = vas_get(vas) };
}
EXPORT_SYMBOL_GPL(vas_cache_init);

static void drop(struct vas_cache *cache)
{
	if (cache->folio) {
		folio_put(cache->folio);
		vas_count(VAS_COUNT_CACHED_FOLIOS, -1);
	}
	cache->folio = NULL;
	cache->size = 0;
}

/**
 * vas_cache_clean - give back what a cache holds
 * @cache: must be initialised again before it is used again
 *
 * May sleep, as vas_put().
 */
void vas_cache_clean(struct vas_cache *cache)
{
	drop(cache);
	vas_put(cache->vas);
	cache->vas = NULL;
}
EXPORT_SYMBOL_GPL(vas_cache_clean);

/*
 * Take over a segment at gpa as all that its folio has of the range's region, before gpa and after.
 */
static void keep(struct vas_cache *cache, const struct vas_section *section,
		 const struct vas_memory_range *range, struct vas_segment *segment, u64 gpa)
{
	u64 in_region = gpa - range->entry->gpa;
	u64 in_folio = range->offset & (folio_size(segment->folio) - 1);
	u64 before = min(in_region, in_folio);

	/* Part of a folio that has failed: only what is known to be good. */
	if (PageHWPoison(virt_to_page(segment->addr)) || folio_test_has_hwpoisoned(segment->folio))
		before = 0;
	drop(cache);
	cache->folio = segment->folio;
	vas_count(VAS_COUNT_CACHED_FOLIOS, 1);
	cache->file = range->backing->file->f_mapping;
	cache->generation = section->view->generation;
	cache->gpa = gpa - before;
	cache->size = before + segment->len;
	cache->addr = segment->addr - before;
}

static int fill(struct vas_cache *cache, const struct vas_section *section, u64 gpa, u32 flags)
{
	struct vas_memory_range range;
	struct vas_segment segment;
	int err;

	err = vas_memory_range_find(section, gpa, VAS_MAX_GPA, flags, &range);
	if (err)
		return err;
	if (!range.backing)
		return -EOPNOTSUPP;
	err = vas_segment_get(range.backing, range.offset, range.len,
			      flags & VAS_NO_SLEEP ? VAS_SEGMENT_ATOMIC : VAS_SEGMENT_ALLOC,
			      &segment);
	if (err)
		return err;
	keep(cache, section, &range, &segment, gpa);
	cache->flags = range.entry->flags & VAS_REGION_MAP_WRITABLE ? VAS_PROT_WRITE : 0;
	return 0;
}

static bool is_valid(const struct vas_cache *cache, const struct vas_section *section, u64 gpa,
		     size_t len, u32 flags)
{
	u64 at = gpa - cache->gpa;

	return likely(cache->generation == section->view->generation && at < cache->size &&
		      len <= cache->size - at &&
		      (cache->flags & VAS_PROT_WRITE) >= (flags & VAS_PROT_WRITE) &&
		      READ_ONCE(cache->folio->mapping) == cache->file);
}

/* Dirty pages of shmem are what reclaim keeps; the log's pages are available before vas_mark(). */
static int get_writable(struct vas_cache *cache, const struct vas_section *section, u64 gpa,
			size_t len, u32 flags)
{
	int err = 0;

	if (section->view->flags & VAS_STATE_TRACKING)
		err = vas_dirty_prepare(cache->vas, gpa, len, flags);
	if (!err)
		vas_folio_dirty(cache->folio);
	return err;
}

/* What the cache does not have yet. */
static noinline int refill(struct vas_cache *cache, const struct vas_section *section, u64 gpa,
			   size_t len, u32 flags)
{
	int err = len ? fill(cache, section, gpa, flags) : -ERANGE;

	return !err && len > cache->size - (gpa - cache->gpa) ? -ERANGE : err;
}

static __always_inline int find(struct vas_cache *cache, const struct vas_section *section, u64 gpa,
				size_t len, u32 flags)
{
	int err = 0;

	if (unlikely(!is_valid(cache, section, gpa, len, flags) || !len))
		err = refill(cache, section, gpa, len, flags);
	if (likely(!err) && flags & VAS_PROT_WRITE)
		err = get_writable(cache, section, gpa, len, flags);
	return err;
}

static __always_inline void *address(const struct vas_cache *cache, u64 gpa)
{
	return cache->addr + (gpa - cache->gpa);
}

/**
 * vas_cache_at - a range of guest memory as an address
 * @cache: the caller's, of the same binding
 * @section: in which the caller is
 * @gpa: start of the range
 * @len: its length, not 0
 * @flags: VAS_PROT_WRITE, if it will be written, in a section with VAS_PROT_WRITE: then call
 *	vas_mark() after; VAS_NO_SLEEP: do not sleep
 *
 * The address is good until vas_leave(), or until the next call for this cache. Use READ_ONCE() and
 * WRITE_ONCE() and their like for what the guest changes meanwhile.
 *
 * Return: the address, or an ERR_PTR: -EFAULT, -EACCES, -EIO, -ENXIO, -EAGAIN, -ENOMEM as
 * vas_copy_to();
 * -ERANGE: not contiguous (or @len is 0): copy it instead; -EOPNOTSUPP: no pages to point to.
 */
void *vas_cache_at(struct vas_cache *cache, struct vas_section *section, u64 gpa, size_t len,
		   u32 flags)
{
	int err = find(cache, section, gpa, len, flags);

	return unlikely(err) ? ERR_PTR(err) : address(cache, gpa);
}
EXPORT_SYMBOL_GPL(vas_cache_at);

static __always_inline int read_in(struct vas_cache *cache, const struct vas_section *section,
				   u64 gpa, void *buf, size_t len, u32 flags)
{
	int err = find(cache, section, gpa, len, flags);

	if (likely(!err))
		vas_bytes_copy(buf, address(cache, gpa), len);
	return err;
}

static __always_inline int write_in(struct vas_cache *cache, const struct vas_section *section,
				    u64 gpa, const void *buf, size_t len, u32 flags)
{
	int err = find(cache, section, gpa, len, flags | VAS_PROT_WRITE);

	if (likely(!err)) {
		vas_bytes_copy(address(cache, gpa), buf, len);
		if (section->view->flags & VAS_STATE_TRACKING)
			vas_dirty_mark(cache->vas, gpa, len);
	}
	return err;
}

/**
 * vas_cache_read_in - a copy out of guest memory, in a section that the caller is in
 * @cache: the caller's, of the same binding
 * @section: which
 * @gpa: from where
 * @buf: to where
 * @len: how much: all or an error
 * @flags: VAS_NO_SLEEP, or 0: may sleep
 *
 * vas_cache_read() without the section: for many copies in one. An observer has to ask vas_leave()
 * what they are worth.
 *
 * Return: 0, or what vas_cache_at() says: after -ERANGE and -EOPNOTSUPP leave the section, then
 * copy it with vas_copy_from().
 */
int vas_cache_read_in(struct vas_cache *cache, struct vas_section *section, u64 gpa, void *buf,
		      size_t len, u32 flags)
{
	return read_in(cache, section, gpa, buf, len, flags & VAS_NO_SLEEP);
}
EXPORT_SYMBOL_GPL(vas_cache_read_in);

/**
 * vas_cache_write_in - a copy into guest memory, in a section that the caller is in
 * @cache: the caller's, of the same binding
 * @section: which, entered with VAS_PROT_WRITE
 * @gpa: to where
 * @buf: from where
 * @len: how much: all or an error
 * @flags: VAS_NO_SLEEP, or 0: may sleep
 *
 * vas_cache_write() without the section. It is marked.
 *
 * Return: as vas_cache_read_in(), with vas_copy_to().
 */
int vas_cache_write_in(struct vas_cache *cache, struct vas_section *section, u64 gpa,
		       const void *buf, size_t len, u32 flags)
{
	return write_in(cache, section, gpa, buf, len, flags & VAS_NO_SLEEP);
}
EXPORT_SYMBOL_GPL(vas_cache_write_in);

static bool needs_copy(int err)
{
	return err == -ERANGE || err == -EOPNOTSUPP;
}

/**
 * vas_cache_read - a copy out of guest memory, by way of a cache
 * @cache: the caller's
 * @gpa: from where
 * @buf: to where
 * @len: how much: all or an error
 * @flags: VAS_NO_SLEEP, or 0: may sleep
 *
 * Fills a hole that it reads, unlike vas_copy_from().
 *
 * Return: as vas_copy_from().
 */
int vas_cache_read(struct vas_cache *cache, u64 gpa, void *buf, size_t len, u32 flags)
{
	struct vas_section section;
	int err, changed;

	flags &= VAS_NO_SLEEP;
	err = vas_section_enter(cache->vas, flags, &section);
	if (unlikely(err))
		return err;
	err = read_in(cache, &section, gpa, buf, len, flags);
	changed = vas_section_leave(&section);
	if (unlikely(changed || needs_copy(err)))
		return flags ? vas_copy_from_atomic(cache->vas, gpa, buf, len, NULL) :
			       vas_copy_from(cache->vas, gpa, buf, len, NULL);
	return err;
}
EXPORT_SYMBOL_GPL(vas_cache_read);

/**
 * vas_cache_write - a copy into guest memory, by way of a cache
 * @cache: the caller's
 * @gpa: to where
 * @buf: from where
 * @len: how much: all or an error, after which some of it may be written
 * @flags: VAS_NO_SLEEP, or 0: may sleep
 *
 * Return: as vas_copy_to().
 */
int vas_cache_write(struct vas_cache *cache, u64 gpa, const void *buf, size_t len, u32 flags)
{
	struct vas_section section;
	int err;

	flags = (flags & VAS_NO_SLEEP) | VAS_PROT_WRITE;
	err = vas_section_enter(cache->vas, flags, &section);
	if (unlikely(err))
		return err;
	err = write_in(cache, &section, gpa, buf, len, flags);
	vas_section_leave(&section);
	if (unlikely(needs_copy(err)))
		return flags & VAS_NO_SLEEP ? vas_copy_to_atomic(cache->vas, gpa, buf, len, NULL) :
					      vas_copy_to(cache->vas, gpa, buf, len, NULL);
	return err;
}
EXPORT_SYMBOL_GPL(vas_cache_write);
