// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_snapshot_restore(): with all its parents now, or as a mapping of the file. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/migrate.h>

#include "migrate/snapshot.h"
#include "migrate/snapshot_file.h"
#include "migrate/sum.h"
#include "migrate/target.h"

struct image {
	int fd;
	struct snapshot_header header;
	struct stream_layout *layout;
	struct snapshot_word *words;
};

static const struct vas_region_entry *entries_of(const struct image *image)
{
	return (const struct vas_region_entry *)(image->layout + 1);
}

/* The regions' bytes fill the file between layout and words. */
static int check_regions(const struct image *image)
{
	uint64_t end = image->header.data_offset;
	uint32_t i;

	if (image->header.layout_size < sizeof(*image->layout) ||
	    image->layout->nr_regions > VAS_MAX_REGIONS ||
	    image->header.layout_size != sizeof(*image->layout) + (uint64_t)image->layout->nr_regions *
						    sizeof(struct vas_region_entry))
		return vas_fail(-EPROTO, "the snapshot's layout makes no sense");
	for (i = 0; i < image->layout->nr_regions; i++)
		if (__builtin_add_overflow(end, entries_of(image)[i].size, &end) ||
		    entries_of(image)[i].size % VAS_PAGE_SIZE)
			return vas_fail(-EPROTO, "the snapshot's regions make no sense");
	return end == image->header.words_offset ? 0 :
						   vas_fail(-EPROTO, "the snapshot's regions do not "
							    "fit its size");
}

static void image_close(struct image *image)
{
	if (image->fd >= 0)
		close(image->fd);
	free(image->layout);
	free(image->words);
}

static int image_open(struct image *image, const char *path)
{
	struct vas_extent layout, words;
	int err;

	memset(image, 0, sizeof(*image));
	image->fd = snapshot_open(path, &image->header);
	if (image->fd < 0)
		return image->fd;
	layout = (struct vas_extent){ sizeof(image->header), image->header.layout_size };
	words = (struct vas_extent){ image->header.words_offset,
				     image->header.nr_words * sizeof(struct snapshot_word) };
	err = snapshot_read(image->fd, &image->header, &layout, image->header.layout_sum,
			    (void **)&image->layout);
	if (!err)
		err = snapshot_read(image->fd, &image->header, &words, image->header.words_sum,
				    (void **)&image->words);
	if (!err)
		err = check_regions(image);
	if (err)
		image_close(image);
	return err;
}

/* ---- eager -------------------------------------------------------------------------------- */

/* Where gpa's page is in the file, or -EPROTO. */
static int64_t offset_of(const struct image *image, uint64_t gpa)
{
	const struct vas_region_entry *entries = entries_of(image);
	uint64_t offset = image->header.data_offset;
	uint32_t i;

	for (i = 0; i < image->layout->nr_regions; i++) {
		if (gpa >= entries[i].gpa && gpa - entries[i].gpa < entries[i].size)
			return (int64_t)(offset + (gpa - entries[i].gpa));
		offset += entries[i].size;
	}
	return vas_fail(-EPROTO, "the snapshot has a page in no region");
}

/*
 * The page's bytes, also for the sum, whether the target has a place for them (the layout may have
 * changed since a parent was made) or not.
 */
static int load_page(const struct image *image, const struct target *target, uint64_t gpa,
		     uint64_t *sum)
{
	char page[VAS_PAGE_SIZE];
	struct iovec iov[64];
	int64_t offset = offset_of(image, gpa);
	uint64_t base = gpa & ~(STREAM_WORD_SIZE - 1);

	if (offset < 0)
		return (int)offset;
	if (pread(image->fd, page, sizeof(page), offset) != sizeof(page))
		return vas_fail(-EPROTO, "a page of the snapshot cannot be read");
	*sum = sum_add(*sum, page, sizeof(page));
	if (target_iov(target, base, 1ull << (gpa - base) / VAS_PAGE_SIZE, iov) == 1)
		memcpy(iov[0].iov_base, page, sizeof(page));
	return 0;
}

static void clear_page(const struct target *target, uint64_t base, unsigned int bit)
{
	struct iovec iov[64];

	if (target_iov(target, base, 1ull << bit, iov) == 1)
		memset(iov[0].iov_base, 0, iov[0].iov_len);
}

static int load_word(const struct image *image, const struct target *target,
		     const struct snapshot_word *word, bool is_first)
{
	uint64_t bits, sum = snapshot_key(&image->header);
	int err = 0;

	if (word->gpa % STREAM_WORD_SIZE || word->gpa >= VAS_MAX_GPA || word->data & word->zero)
		return vas_fail(-EPROTO, "the snapshot's list of pages makes no sense");
	for (bits = word->data; !err && bits; bits &= bits - 1)
		err = load_page(image, target,
				word->gpa + (uint64_t)__builtin_ctzll(bits) * VAS_PAGE_SIZE, &sum);
	if (!err && sum != word->sum)
		err = vas_fail(-EPROTO, "pages of the snapshot at gpa %#llx are damaged",
			       (unsigned long long)word->gpa);
	/* New memory is zero. */
	for (bits = is_first ? 0 : word->zero; !err && bits; bits &= bits - 1)
		clear_page(target, word->gpa, (unsigned int)__builtin_ctzll(bits));
	return err;
}

static int load_words(const struct image *image, const struct target *target, bool is_first)
{
	uint64_t i;
	int err = 0;

	for (i = 0; !err && i < image->header.nr_words; i++)
		err = load_word(image, target, &image->words[i], is_first);
	return err;
}

/* The images of a chain, the youngest first. */
static int open_chain(const char *path, struct image *images, int *nr)
{
	char here[PATH_MAX], parent[PATH_MAX];
	const struct image *child = NULL;
	int err;

	if (strlen(path) >= sizeof(here))
		return vas_fail(-ENAMETOOLONG, "the path is too long");
	strcpy(here, path);
	for (*nr = 0; *nr < SNAPSHOT_MAX_PARENTS; child = &images[(*nr)++]) {
		err = image_open(&images[*nr], here);
		if (err)
			return err;
		if (child && memcmp(child->header.parent_id, images[*nr].header.id, 16)) {
			image_close(&images[*nr]);
			return vas_fail(-EPROTO, "%s is not the snapshot that its child was made on",
					here);
		}
		if (!images[*nr].header.parent[0]) {
			++*nr;
			return 0;
		}
		err = snapshot_parent_path(here, images[*nr].header.parent, parent);
		if (err) {
			image_close(&images[*nr]);
			return err;
		}
		strcpy(here, parent);
	}
	return vas_fail(-ELOOP, "more than %d snapshots on each other", SNAPSHOT_MAX_PARENTS);
}

static int load_chain(const struct image *images, int nr, struct vas **vas)
{
	struct target_options options = { 0 };
	struct target target;
	int i, err;

	err = target_init(&target, images[0].layout, images[0].header.layout_size, &options);
	if (err)
		return err;
	for (i = nr; !err && i-- > 0;)
		err = load_words(&images[i], &target, i == nr - 1);
	if (!err)
		err = target_publish(&target, vas);
	target_clean(&target);
	return err;
}

static int restore_eager(const char *path, struct vas **vas)
{
	struct image *images = calloc(SNAPSHOT_MAX_PARENTS, sizeof(*images));
	int err, nr;

	if (!images)
		return vas_fail(-ENOMEM, "no memory to restore with");
	err = open_chain(path, images, &nr);
	if (!err)
		err = load_chain(images, nr, vas);
	while (nr-- > 0)
		image_close(&images[nr]);
	free(images);
	return err;
}

/* ---- lazy --------------------------------------------------------------------------------- */

static int map_region(const struct image *image, const struct vas_region_entry *entry,
		      uint64_t offset, struct vas_layout *layout)
{
	struct vas_region region = { .gpa = entry->gpa, .size = entry->size,
				     .flags = VAS_REGION_LOCAL | (entry->flags & VAS_REGION_READONLY) };
	int err;

	region.hva = mmap(NULL, entry->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
			  image->fd, (off_t)offset);
	if (region.hva == MAP_FAILED)
		return vas_fail(-ENOMEM, "cannot map a region of the snapshot: %s", strerror(errno));
	memcpy(region.name, entry->name, sizeof(region.name) - 1);
	err = vas_layout_add(layout, &region, NULL);
	if (err)
		munmap(region.hva, region.size);
	return err == -EINVAL || err == -EEXIST ? -EPROTO : err;
}

static int map_regions(const struct image *image, struct vas *vas)
{
	uint64_t offset = image->header.data_offset;
	struct vas_layout *layout;
	uint32_t i;
	int err = vas_layout_begin(vas, &layout);

	if (err)
		return err;
	for (i = 0; !err && i < image->layout->nr_regions; i++) {
		err = map_region(image, &entries_of(image)[i], offset, layout);
		offset += entries_of(image)[i].size;
	}
	if (!err)
		return vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, NULL);
	vas_layout_abort(layout);
	return err;
}

static int map_image(const struct image *image, struct vas **out)
{
	struct vas_options options = { .limit = image->layout->limit,
				       .ram_size = image->layout->ram_size,
				       .name = image->layout->name };
	struct vas *vas;
	int err;

	if (image->header.parent[0])
		return vas_fail(-EOPNOTSUPP, "a snapshot with a parent is not in one piece: restore "
				"it eagerly");
	if (!memchr(image->layout->name, '\0', sizeof(image->layout->name)))
		return vas_fail(-EPROTO, "the snapshot's layout makes no sense");
	if (image->layout->nr_regions > 4096)
		options.max_regions = image->layout->nr_regions;
	err = vas_create(&options, &vas);
	if (err)
		return err == -EINVAL ? -EPROTO : err;
	err = map_regions(image, vas);
	if (err)
		vas_destroy(vas);
	else
		*out = vas;
	return err;
}

static int restore_lazily(const char *path, struct vas **vas)
{
	struct image image;
	int err = image_open(&image, path);

	if (err)
		return err;
	err = map_image(&image, vas);
	image_close(&image);
	return err;
}

int vas_snapshot_restore(const char *path, uint32_t flags, struct vas **vas)
{
	if (flags & ~VAS_RESTORE_LAZY)
		return vas_fail(-EINVAL, "unknown flags %#x", flags);
	return flags & VAS_RESTORE_LAZY ? restore_lazily(path, vas) : restore_eager(path, vas);
}
