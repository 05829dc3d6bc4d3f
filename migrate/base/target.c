// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/base/target.h"

#include <errno.h>
#include <linux/memfd.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/consumer.h>

#include "lib/base/write_signals.h"
#include "migrate/base/populate.h"

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21U << 26)
#endif

#define HUGE_SIZE (2ull << 20)

/* ---- making it ---------------------------------------------------------------------------- */

static int check_layout(const struct stream_layout *layout, size_t size)
{
	uint64_t entries = (uint64_t)layout->nr_regions * sizeof(struct vas_region_entry);

	if (layout->nr_regions > VAS_MAX_REGIONS || size != sizeof(*layout) + entries ||
	    !memchr(layout->name, '\0', sizeof(layout->name)))
		return vas_error_set(-EPROTO, "the stream's layout makes no sense");
	if (layout->page_size != VAS_PAGE_SIZE && layout->page_size != HUGE_SIZE)
		return vas_error_set(-EPROTO, "the stream's layout has pages of %u bytes",
				     layout->page_size);
	return 0;
}

static int create(struct target *t, const struct stream_layout *layout, uint32_t flags)
{
	struct vas_options options = {
		.limit = layout->limit,
		.ram_size = layout->ram_size,
		.name = layout->name,
		.flags = flags | (layout->page_size == HUGE_SIZE ? VAS_CREATE_HUGETLB : 0),
		.max_regions = layout->nr_regions > 4096 ? layout->nr_regions : 0,
	};
	int err = vas_create(&options, &t->vas);

	t->limit = layout->limit;
	/* What the stream wants is no fault of the caller's. */
	return err == -EINVAL ? -EPROTO : err;
}

static int size_backing(int fd, uint64_t size)
{
	struct write_signals signals;
	int err;

	write_signals_block(&signals);
	err = ftruncate(fd, (off_t)size) ? -errno : 0;
	write_signals_restore(&signals, err);
	if (!err && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		err = -errno;
	return err;
}

static int make_backing(const struct stream_backing *backing)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd, err;

	if (backing->size > INT64_MAX ||
	    (backing->page_size != VAS_PAGE_SIZE && backing->page_size != HUGE_SIZE))
		return vas_error_set(-EPROTO, "the stream has a backing that cannot be");
	if (backing->page_size == HUGE_SIZE)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	fd = memfd_create("vas-backing", flags);
	if (fd < 0)
		return vas_error_set(-errno, "cannot make a backing: %s", strerror(errno));
	err = size_backing(fd, backing->size);
	if (err) {
		vas_error_set(err, "cannot size a backing: %s", strerror(-err));
		close(fd);
		return err;
	}
	return fd;
}

/* numbers[i]: which of the new vas's backings is the stream's i. */
static int add_backings(struct target *t, const struct stream_layout *layout,
			uint32_t numbers[VAS_MAX_BACKINGS])
{
	uint32_t i;

	memset(numbers, 0xff, VAS_MAX_BACKINGS * sizeof(*numbers));
	numbers[0] = 0;
	for (i = 1; i < VAS_MAX_BACKINGS; i++) {
		int fd, number;

		if (!layout->backings[i].size)
			continue;
		fd = make_backing(&layout->backings[i]);
		if (fd < 0)
			return fd;
		number = vas_backing_add(t->vas, fd);
		close(fd);
		if (number < 0)
			return number;
		numbers[i] = (uint32_t)number;
	}
	return 0;
}

static int make_region(char *p, const struct vas_region *region,
		       const struct target_options *options)
{
	uint64_t done, len;
	int err = 0;

	for (done = 0; !err && done < region->size; done += len) {
		len = region->size - done < STREAM_SEGMENT ? region->size - done : STREAM_SEGMENT;
		err = populate(p + done, len);
		if (err)
			return vas_error_set(err, "no memory for region %s: %s", region->name,
					     strerror(-err));
		err = options->populated(options->arg);
	}
	return err;
}

static uint64_t *written_word(const struct target_region *r, uint64_t gpa)
{
	return &r->written[gpa / STREAM_WORD_SIZE - r->gpa / STREAM_WORD_SIZE];
}

static int watch_region(struct target *t, struct target_region *r)
{
	uint64_t first = r->gpa / STREAM_WORD_SIZE;
	uint64_t last = (r->gpa + r->size - 1) / STREAM_WORD_SIZE;

	r->written = calloc(last - first + 1, sizeof(*r->written));
	if (!r->written)
		return vas_error_set(-ENOMEM, "no memory for a list of pages");
	r->watch = vas_watch(t->vas, r->hva, r->size);
	return r->watch < 0 ? r->watch : 0;
}

static void unmap_region(struct target_region *r)
{
	vas_unwatch(r->watch);
	munmap(r->hva, r->size);
	free(r->written);
}

static int map_region(struct target *t, const struct vas_region *region,
		      const struct target_options *options)
{
	int fd = vas_backing_fd(t->vas, region->backing);
	struct target_region *to = &t->regions[t->nr];
	void *p = mmap(NULL, region->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		       (off_t)region->offset);
	int err;

	if (p == MAP_FAILED)
		return vas_error_set(-ENOMEM, "cannot map region %s: %s", region->name,
				     strerror(errno));
	if (options->create_flags & VAS_CREATE_THP)
		madvise(p, region->size, MADV_HUGEPAGE);
	if (!(options->create_flags & VAS_CREATE_DUMP))
		madvise(p, region->size, MADV_DONTDUMP);
	*to = (struct target_region){ region->gpa, region->size, p, -1, NULL };
	t->nr++;
	err = watch_region(t, to);
	return err || !options->populated ? err : make_region(p, region, options);
}

static int add_region(struct target *t, const struct vas_region_entry *entry,
		      const uint32_t numbers[VAS_MAX_BACKINGS],
		      const struct target_options *options)
{
	struct vas_region region = { .gpa = entry->gpa,
				     .size = entry->size,
				     .offset = entry->offset,
				     .flags = entry->flags };
	int err;

	memcpy(region.name, entry->name, sizeof(region.name) - 1);
	if (entry->backing >= VAS_MAX_BACKINGS || numbers[entry->backing] == UINT32_MAX ||
	    entry->flags & VAS_REGION_LOCAL || entry->offset == VAS_OFFSET_GPA)
		return vas_error_set(-EPROTO, "the stream has a region without memory");
	if (t->nr && entry->gpa < t->regions[t->nr - 1].gpa)
		return vas_error_set(-EPROTO, "the stream's regions are not in order");
	region.backing = numbers[entry->backing];
	/* Alignment, bounds, overlaps: all is checked there. */
	err = vas_layout_add(t->layout, &region, NULL);
	if (err == -EINVAL || err == -EEXIST || err == -EBADF)
		return -EPROTO;
	return err ? err : map_region(t, &region, options);
}

static int add_regions(struct target *t, const struct stream_layout *layout,
		       const struct target_options *options, const uint32_t *numbers)
{
	const struct vas_region_entry *entries = (const struct vas_region_entry *)(layout + 1);
	uint64_t ram = 0;
	uint32_t i;
	int err = 0;

	t->regions = calloc(layout->nr_regions + 1, sizeof(*t->regions));
	if (!t->regions)
		return vas_error_set(-ENOMEM, "no memory for the layout");
	for (i = 0; !err && i < layout->nr_regions; i++) {
		if (__builtin_add_overflow(ram, entries[i].size, &ram) ||
		    (options->max_ram && ram > options->max_ram))
			return vas_error_set(-E2BIG,
					     "the stream's vas has more than the %llu bytes of "
					     "memory that are allowed",
					     (unsigned long long)options->max_ram);
		err = add_region(t, &entries[i], numbers, options);
	}
	return err;
}

int target_init(struct target *t, const struct stream_layout *layout, size_t size,
		const struct target_options *options)
{
	uint32_t numbers[VAS_MAX_BACKINGS];
	int err = check_layout(layout, size);

	*t = (struct target){ 0 };
	if (err)
		return err;
	err = create(t, layout, options->create_flags);
	if (!err)
		err = add_backings(t, layout, numbers);
	if (!err)
		err = vas_layout_begin(t->vas, &t->layout);
	if (!err)
		err = add_regions(t, layout, options, numbers);
	if (err)
		target_clean(t);
	return err;
}

/* ---- filling it --------------------------------------------------------------------------- */

static struct target_region *find(const struct target *t, uint64_t gpa)
{
	uint32_t low = 0, high = t->nr;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		struct target_region *r = &t->regions[middle];

		if (gpa < r->gpa)
			high = middle;
		else if (gpa - r->gpa >= r->size)
			low = middle + 1;
		else
			return r;
	}
	return NULL;
}

static int check_word(const struct target *t, uint64_t gpa)
{
	/* gpa + 256 KiB cannot wrap: gpa is below a limit of at most 2^52. */
	if (gpa % STREAM_WORD_SIZE || gpa >= t->limit)
		return vas_error_set(-EPROTO, "the stream has pages at gpa %#llx",
				     (unsigned long long)gpa);
	return 0;
}

/* The page's region, of which `r` (may be NULL) is the likeliest. */
static struct target_region *region_of(const struct target *t, struct target_region *r,
				       uint64_t page)
{
	if (!r || page < r->gpa || page - r->gpa >= r->size)
		r = find(t, page);
	if (r && page - r->gpa <= r->size - VAS_PAGE_SIZE)
		return r;
	vas_error_set(-EPROTO, "the stream has a page at gpa %#llx, in no region",
		      (unsigned long long)page);
	return NULL;
}

int target_iov(struct target *t, uint64_t gpa, uint64_t bits, struct iovec iov[64])
{
	struct target_region *r = NULL;
	int nr = 0, err = check_word(t, gpa);

	if (err)
		return err;
	for (; bits; bits &= bits - 1) {
		uint64_t page = gpa + (uint64_t)__builtin_ctzll(bits) * VAS_PAGE_SIZE;
		char *hva;

		r = region_of(t, r, page);
		if (!r)
			return -EPROTO;
		*written_word(r, gpa) |= bits & -bits;
		hva = r->hva + (page - r->gpa);
		if (nr && (char *)iov[nr - 1].iov_base + iov[nr - 1].iov_len == hva)
			iov[nr - 1].iov_len += VAS_PAGE_SIZE;
		else
			iov[nr++] = (struct iovec){ hva, VAS_PAGE_SIZE };
	}
	return nr;
}

int target_clear(struct target *t, uint64_t gpa, uint64_t bits)
{
	struct target_region *r = NULL;
	int err = check_word(t, gpa);

	for (; !err && bits; bits &= bits - 1) {
		uint64_t page = gpa + (uint64_t)__builtin_ctzll(bits) * VAS_PAGE_SIZE;
		uint64_t bit = bits & -bits;

		r = region_of(t, r, page);
		if (!r)
			return -EPROTO;
		if (*written_word(r, gpa) & bit)
			memset(r->hva + (page - r->gpa), 0, VAS_PAGE_SIZE);
		*written_word(r, gpa) &= ~bit;
	}
	return err;
}

int target_check(const struct target *t)
{
	if (!vas_page_failed(t->vas))
		return 0;
	return vas_error_set(-ENOMEM, "no memory, or no free huge page, for what has arrived");
}

int target_publish(struct target *t, struct vas **vas)
{
	struct vas_layout *layout = t->layout;
	int err = target_check(t);

	if (err)
		return err;
	t->layout = NULL;
	err = vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, NULL);
	if (err)
		return err;
	*vas = t->vas;
	t->vas = NULL;
	return 0;
}

void target_clean(struct target *t)
{
	uint32_t i;

	for (i = 0; i < t->nr; i++)
		unmap_region(&t->regions[i]);
	free(t->regions);
	if (t->layout)
		vas_layout_abort(t->layout);
	vas_destroy(t->vas);
	*t = (struct target){ 0 };
}
