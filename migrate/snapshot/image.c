// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/snapshot/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/device.h>
#include <vas/migrate.h>

#include "migrate/base/sum.h"

/* Regions are sorted, and their bytes fill the file between layout and words. */
static int place_regions(struct image *image)
{
	const struct vas_region_entry *regions = image_regions(image);
	uint64_t at = image->header.data_offset, gpa = 0;
	uint32_t i;

	image->offsets = malloc((image->layout->nr_regions + 1) * sizeof(*image->offsets));
	if (!image->offsets)
		return vas_error_set(-ENOMEM, "no memory for a snapshot's layout");
	for (i = 0; i < image->layout->nr_regions; i++) {
		image->offsets[i] = at;
		if (regions[i].gpa < gpa || regions[i].size % VAS_PAGE_SIZE ||
		    regions[i].gpa % VAS_PAGE_SIZE ||
		    __builtin_add_overflow(at, regions[i].size, &at) ||
		    __builtin_add_overflow(regions[i].gpa, regions[i].size, &gpa))
			return vas_error_set(-EPROTO, "the snapshot's regions make no sense");
	}
	return at == image->header.words_offset ?
		       0 :
		       vas_error_set(-EPROTO, "the snapshot's regions do not fit its size");
}

static int check_layout(const struct image *image)
{
	const struct stream_layout *layout = image->layout;

	if (image->header.layout_size < sizeof(*layout) || layout->nr_regions > VAS_MAX_REGIONS ||
	    image->header.layout_size != sizeof(*layout) + (uint64_t)layout->nr_regions *
								   sizeof(struct vas_region_entry))
		return vas_error_set(-EPROTO, "the snapshot's layout makes no sense");
	return 0;
}

static int check_words(const struct image *image)
{
	uint64_t i;

	for (i = 0; i < image->header.nr_words; i++) {
		const struct snapshot_word *word = &image->words[i];

		if (word->gpa % STREAM_WORD_SIZE || word->gpa >= VAS_MAX_GPA ||
		    word->data & word->zero || !(word->data | word->zero))
			return vas_error_set(-EPROTO,
					     "the snapshot's list of pages makes no sense");
	}
	return 0;
}

void image_close(struct image *image)
{
	if (image->fd >= 0)
		close(image->fd);
	free(image->layout);
	free(image->words);
	free(image->offsets);
	free(image->devices);
	memset(image, 0, sizeof(*image));
	image->fd = -1;
}

/* Where the words end, and the state begins. */
static uint64_t words_end(const struct snapshot_header *header)
{
	return header->words_offset + header->nr_words * sizeof(struct snapshot_word);
}

static int read_devices(struct image *image)
{
	const struct snapshot_header *header = &image->header;
	const struct vas_extent where = { words_end(header) + header->state_size,
					  header->devices_size };

	if (!where.size)
		return 0;
	return snapshot_read(image->fd, header, &where, header->devices_sum, &image->devices);
}

int image_load_devices(const struct image *image, struct vas *vas)
{
	return vas_devices_load(vas, image->devices, image->header.devices_size);
}

int image_open(struct image *image, const char *path, int flags)
{
	struct vas_extent layout, words;
	int err;

	memset(image, 0, sizeof(*image));
	image->fd = snapshot_open(path, flags, &image->header);
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
		err = read_devices(image);
	if (!err)
		err = check_layout(image);
	if (!err)
		err = place_regions(image);
	if (!err)
		err = check_words(image);
	if (err)
		image_close(image);
	return err;
}

int vas_snapshot_state(const char *path, void **state, size_t *size)
{
	struct snapshot_header header;
	struct vas_extent where;
	int fd = snapshot_open(path, 0, &header), err = 0;

	if (fd < 0)
		return fd;
	where.offset = words_end(&header);
	where.size = header.state_size;
	*state = NULL;
	*size = where.size;
	if (where.size)
		err = snapshot_read(fd, &header, &where, header.state_sum, state);
	close(fd);
	return err;
}

/* ---- bytes -------------------------------------------------------------------------------- */

const struct vas_region_entry *image_region_at(const struct image *image, uint64_t gpa)
{
	const struct vas_region_entry *regions = image_regions(image);
	uint32_t low = 0, high = image->layout->nr_regions;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (regions[middle].gpa + regions[middle].size <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low < image->layout->nr_regions && regions[low].gpa <= gpa ? &regions[low] : NULL;
}

uint64_t image_pages(const struct image *image, uint64_t gpa, uint64_t bits)
{
	const struct vas_region_entry *region = image_region_at(image, gpa);
	uint64_t in = 0, left;

	/* Mostly all 64 are in one: a look for each page would be most of a restore's time. */
	if (region && gpa + STREAM_WORD_SIZE <= region->gpa + region->size)
		return bits;
	for (left = bits; left; left &= left - 1) {
		unsigned int bit = (unsigned int)__builtin_ctzll(left);

		if (image_region_at(image, gpa + bit * VAS_PAGE_SIZE))
			in |= 1ull << bit;
	}
	return in;
}

static int read_range(const struct image *image, const struct vas_region_entry *region,
		      uint64_t gpa, char *to, size_t size)
{
	uint64_t offset = image->offsets[region - image_regions(image)] + (gpa - region->gpa);

	while (size) {
		ssize_t nr = pread(image->fd, to, size, (off_t)offset);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr <= 0)
			return vas_error_set(
				-EPROTO, "pages of the snapshot at gpa %#llx cannot be read: %s",
				(unsigned long long)gpa, nr ? strerror(errno) : "it was cut");
		to += nr;
		offset += (uint64_t)nr;
		size -= (size_t)nr;
	}
	return 0;
}

/* Pages in a row, of one region, are one read. */
static int read_ranges(const struct image *image, const struct snapshot_word *word, char *raw,
		       size_t *size)
{
	uint64_t bits = word->data;
	int err = 0;

	*size = 0;
	while (!err && bits) {
		unsigned int bit = (unsigned int)__builtin_ctzll(bits);
		uint64_t gpa = word->gpa + bit * VAS_PAGE_SIZE;
		const struct vas_region_entry *region = image_region_at(image, gpa);
		size_t range = 0;

		if (!region)
			return vas_error_set(-EPROTO, "the snapshot has a page in no region");
		do {
			range += VAS_PAGE_SIZE;
			bits &= bits - 1;
		} while (bits &&
			 (unsigned int)__builtin_ctzll(bits) == bit + range / VAS_PAGE_SIZE &&
			 gpa + range - region->gpa < region->size);
		err = read_range(image, region, gpa, raw + *size, range);
		*size += range;
	}
	return err;
}

int image_read(const struct image *image, const struct snapshot_word *word, char *raw)
{
	size_t size;
	int err = read_ranges(image, word, raw, &size);

	if (!err && sum_add(snapshot_key(&image->header), raw, size) != word->sum)
		err = vas_error_set(-EPROTO, "pages of the snapshot at gpa %#llx are damaged",
				    (unsigned long long)word->gpa);
	return err;
}
