// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/base/target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vas/access.h>
#include <vas/consumer.h>

#include "lib/base/pwrite.h"
#include "migrate/base/populate.h"
#include "migrate/base/bits.h"

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

/* A backing of the stream's, in the new vas. */
struct made {
	uint32_t number;
	uint32_t page_size; /* 0: there is none */
};

static int add_backings(struct target *t, const struct stream_layout *layout,
			struct made made[VAS_MAX_BACKINGS])
{
	uint32_t i;

	memset(made, 0, VAS_MAX_BACKINGS * sizeof(*made));
	made[0].page_size = layout->page_size;
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
		made[i] = (struct made){ (uint32_t)number, layout->backings[i].page_size };
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

static int list_written(struct target_region *r)
{
	uint64_t first = r->gpa / STREAM_WORD_SIZE;
	uint64_t last = (r->gpa + r->size - 1) / STREAM_WORD_SIZE;

	r->written = calloc(last - first + 1, sizeof(*r->written));
	return r->written ? 0 : vas_error_set(-ENOMEM, "no memory for a list of pages");
}

static void clean_region(struct target_region *r)
{
	vas_unwatch(r->watch);
	if (r->hva)
		munmap(r->hva, r->size);
	free(r->written);
}

static int map_region(struct target *t, struct target_region *r, const struct vas_region *region,
		      const struct target_options *options)
{
	void *p = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, r->fd,
		       (off_t)r->offset);

	if (p == MAP_FAILED)
		return vas_error_set(-ENOMEM, "cannot map region %s: %s", region->name,
				     strerror(errno));
	r->hva = p;
	if (options->create_flags & VAS_CREATE_THP)
		madvise(p, r->size, MADV_HUGEPAGE);
	if (!(options->create_flags & VAS_CREATE_DUMP))
		madvise(p, r->size, MADV_DONTDUMP);
	r->watch = vas_watch(t->vas, p, r->size);
	if (r->watch < 0)
		return r->watch;
	return options->populated ? make_region(p, region, options) : 0;
}

/*
 * The file takes fresh pages several times as fast as a map of it. But hugetlbfs takes none, huge
 * pages that are advised come by a map alone, and pages that are there before are better mapped.
 */
static bool needs_map(uint32_t page_size, const struct target_options *options)
{
	return page_size != VAS_PAGE_SIZE || options->create_flags & VAS_CREATE_THP ||
	       options->populated;
}

static int make_memory(struct target *t, const struct vas_region *region, uint32_t page_size,
		       const struct target_options *options)
{
	struct target_region *r = &t->regions[t->nr];
	int err;

	*r = (struct target_region){ .gpa = region->gpa,
				     .size = region->size,
				     .fd = vas_backing_fd(t->vas, region->backing),
				     .offset = region->offset,
				     .watch = -1 };
	t->nr++;
	err = list_written(r);
	if (err || !needs_map(page_size, options)) {
		t->is_mapped = false;
		return err;
	}
	return map_region(t, r, region, options);
}

static int add_region(struct target *t, const struct vas_region_entry *entry,
		      const struct made made[VAS_MAX_BACKINGS],
		      const struct target_options *options)
{
	struct vas_region region = { .gpa = entry->gpa,
				     .size = entry->size,
				     .offset = entry->offset,
				     .flags = entry->flags };
	int err;

	memcpy(region.name, entry->name, sizeof(region.name) - 1);
	if (entry->backing >= VAS_MAX_BACKINGS || !made[entry->backing].page_size ||
	    entry->flags & VAS_REGION_LOCAL || entry->offset == VAS_OFFSET_GPA)
		return vas_error_set(-EPROTO, "the stream has a region without memory");
	if (t->nr && entry->gpa < t->regions[t->nr - 1].gpa)
		return vas_error_set(-EPROTO, "the stream's regions are not in order");
	region.backing = made[entry->backing].number;
	/* Alignment, bounds, overlaps: all is checked there. */
	err = vas_layout_add(t->layout, &region, NULL);
	if (err == -EINVAL || err == -EEXIST || err == -EBADF)
		return -EPROTO;
	return err ? err : make_memory(t, &region, made[entry->backing].page_size, options);
}

static int add_regions(struct target *t, const struct stream_layout *layout,
		       const struct target_options *options, const struct made *made)
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
		err = add_region(t, &entries[i], made, options);
	}
	return err;
}

int target_init(struct target *t, const struct stream_layout *layout, size_t size,
		const struct target_options *options)
{
	struct made made[VAS_MAX_BACKINGS];
	int err = check_layout(layout, size);

	*t = (struct target){ .is_mapped = true };
	if (err)
		return err;
	err = create(t, layout, options->create_flags);
	if (!err)
		err = add_backings(t, layout, made);
	if (!err)
		err = vas_layout_begin(t->vas, &t->layout);
	if (!err)
		err = add_regions(t, layout, options, made);
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

/* Pages of a word that are in a row, in one region and its file. */
struct run {
	struct target_region *region;
	uint64_t at; /* in the region */
	size_t size;
	uint64_t bits;
};

/* Take the first run of these pages. False: one is in no region, which is -EPROTO. */
static bool take_run(const struct target *t, uint64_t gpa, uint64_t *bits, struct run *run)
{
	unsigned int first = (unsigned int)__builtin_ctzll(*bits), nr = run_of(*bits);
	uint64_t page = gpa + first * VAS_PAGE_SIZE, room;
	struct target_region *r = find(t, page);

	room = r ? (r->size - (page - r->gpa)) / VAS_PAGE_SIZE : 0;
	if (!room) {
		vas_error_set(-EPROTO, "the stream has a page at gpa %#llx, in no region",
			      (unsigned long long)page);
		return false;
	}
	nr = nr < room ? nr : (unsigned int)room;
	*run = (struct run){ r, page - r->gpa, nr * VAS_PAGE_SIZE, mask_of(first, nr) };
	*bits &= ~run->bits;
	return true;
}

int target_iov(struct target *t, uint64_t gpa, uint64_t bits, struct iovec iov[64])
{
	int nr, err = check_word(t, gpa);
	struct run run;

	if (err)
		return err;
	for (nr = 0; bits; nr++) {
		if (!take_run(t, gpa, &bits, &run))
			return -EPROTO;
		*written_word(run.region, gpa) |= run.bits;
		iov[nr] = (struct iovec){ run.region->hva + run.at, run.size };
	}
	return nr;
}

static int write_run(const struct run *run, const char *pages)
{
	const struct target_region *r = run->region;
	int err;

	if (r->hva) {
		memcpy(r->hva + run->at, pages, run->size);
		return 0;
	}
	err = pwrite_all(r->fd, pages, run->size, r->offset + run->at, NULL);
	if (!err)
		return 0;
	return vas_error_set(err == -ENOSPC ? -ENOMEM : err,
			     "pages at gpa %#llx cannot be written: %s",
			     (unsigned long long)(r->gpa + run->at), strerror(-err));
}

int target_write(struct target *t, uint64_t gpa, uint64_t bits, const char *pages)
{
	int err = check_word(t, gpa);
	struct run run;

	for (; !err && bits; pages += run.size) {
		if (!take_run(t, gpa, &bits, &run))
			return -EPROTO;
		*written_word(run.region, gpa) |= run.bits;
		err = write_run(&run, pages);
	}
	return err;
}

/* In a file they are a hole again. */
static int clear_run(const struct run *run)
{
	const struct target_region *r = run->region;

	if (r->hva)
		memset(r->hva + run->at, 0, run->size);
	else if (fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			   (off_t)(r->offset + run->at), (off_t)run->size))
		return vas_error_set(-errno, "pages at gpa %#llx cannot be given back: %s",
				     (unsigned long long)(r->gpa + run->at), strerror(errno));
	return 0;
}

int target_clear(struct target *t, uint64_t gpa, uint64_t bits)
{
	int err = check_word(t, gpa);
	struct run run;

	while (!err && bits) {
		uint64_t *written, left = bits;

		if (!take_run(t, gpa, &left, &run))
			return -EPROTO;
		written = written_word(run.region, gpa);
		bits &= ~run.bits;
		run.bits &= *written;
		*written &= ~run.bits;
		for (left = run.bits; !err && left && take_run(t, gpa, &left, &run);)
			err = clear_run(&run);
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
		clean_region(&t->regions[i]);
	free(t->regions);
	if (t->layout)
		vas_layout_abort(t->layout);
	vas_destroy(t->vas);
	*t = (struct target){ 0 };
}
