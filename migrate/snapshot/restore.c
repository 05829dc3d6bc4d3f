// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_snapshot_restore(): with all its parents now. The other ways: lazy.c, private.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vas/lazy.h>
#include <vas/consumer.h>
#include <vas/migrate.h>

#include "migrate/snapshot/chain.h"
#include "migrate/base/pages.h"
#include "migrate/base/bits.h"
#include "migrate/snapshot/restore.h"
#include "migrate/base/target.h"

/* New memory is zero. A file may claim more zeros than it has bytes. */
static uint64_t without_zeros(const char *pages, uint64_t bits)
{
	uint64_t left;

	for (left = bits; left; left &= left - 1) {
		unsigned int bit = (unsigned int)__builtin_ctzll(left);

		if (page_is_zero(pages + bit * VAS_PAGE_SIZE))
			bits &= ~(1ull << bit);
	}
	return bits;
}

static int load_pages(struct target *target, uint64_t gpa, const char *pages, uint64_t bits)
{
	int err = 0;

	while (!err && bits) {
		unsigned int first = (unsigned int)__builtin_ctzll(bits);
		uint64_t run = mask_of(first, run_of(bits));

		err = target_write(target, gpa, run, pages + first * VAS_PAGE_SIZE);
		bits &= ~run;
	}
	return err;
}

static int load_words(struct chain *chain, struct target *target, char *pages)
{
	struct vas_dirty_word word;
	uint64_t data;
	size_t at = 0;
	int err = 0;

	while (!err && chain_next(chain, &at, &word)) {
		err = chain_read(chain, word.gpa, pages, &data);
		data = err ? 0 : image_pages(chain->images, word.gpa, data);
		if (data)
			err = load_pages(target, word.gpa, pages, without_zeros(pages, data));
	}
	return err;
}

static int load(struct chain *chain, char *pages, uint32_t create_flags, struct vas **vas)
{
	const struct image *image = &chain->images[0];
	struct target_options options = { .create_flags = create_flags };
	struct target target;
	int err = target_init(&target, image->layout, image->header.layout_size, &options);

	if (err)
		return err;
	err = load_words(chain, &target, pages);
	if (!err)
		err = target_publish(&target, vas);
	target_clean(&target);
	return err;
}

static int restore_eagerly(const char *path, uint32_t create_flags, uint32_t chain_flags,
			   struct vas **vas)
{
	char *pages = aligned_alloc(VAS_PAGE_SIZE, STREAM_WORD_SIZE);
	struct chain chain;
	int err;

	if (!pages)
		return vas_error_set(-ENOMEM, "no memory to restore with");
	err = chain_open(&chain, path, chain_flags);
	if (!err) {
		err = load(&chain, pages, create_flags, vas);
		chain_close(&chain);
	}
	free(pages);
	return err;
}

int restore_create(const struct stream_layout *layout, struct vas **vas)
{
	struct vas_options options = { .limit = layout->limit,
				       .ram_size = layout->ram_size,
				       .name = layout->name };
	int err;

	if (!memchr(layout->name, '\0', sizeof(layout->name)))
		return vas_error_set(-EPROTO, "the snapshot's layout makes no sense");
	if (layout->nr_regions > 4096)
		options.max_regions = layout->nr_regions;
	err = vas_create(&options, vas);
	return err == -EINVAL ? -EPROTO : err;
}

int vas_snapshot_restore(const char *path, uint32_t flags, struct vas **vas)
{
	uint32_t chain_flags = flags & VAS_RESTORE_ANY_FOLDER ? CHAIN_ANY_FOLDER : 0;

	switch (flags & ~VAS_RESTORE_ANY_FOLDER) {
	case 0:
		return restore_eagerly(path, 0, chain_flags, vas);
	case VAS_RESTORE_RAM_APART:
		return restore_eagerly(path, VAS_CREATE_RAM_APART, chain_flags, vas);
	case VAS_RESTORE_LAZY:
		return restore_lazily(path, 0, chain_flags, vas);
	case VAS_RESTORE_CLONE:
		return restore_lazily(path, VAS_LAZY_ON_TOUCH, chain_flags, vas);
	case VAS_RESTORE_PRIVATE:
		return restore_privately(path, vas);
	default:
		return vas_error_set(-EINVAL, "flags %#x: one way to restore at a time", flags);
	}
}
