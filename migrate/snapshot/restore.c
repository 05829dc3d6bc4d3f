// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_snapshot_restore(): with all its parents now. The other ways: lazy.c, private.c. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/lazy.h>
#include <vas/consumer.h>
#include <vas/migrate.h>

#include "lib/base/spawn.h"
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

/* ---- by several threads ------------------------------------------------------------------- */

#define MAX_HELPERS	 3
#define WORDS_PER_HELPER 16 /* 4 MiB: less is not worth a thread */

struct load {
	struct chain *chain;
	struct target target;
	pthread_mutex_t lock; /* of what follows */
	size_t at;	      /* the next word */
	int err;	      /* the first, with its words: nothing more is begun */
	char words[256];
};

static void end_with(struct load *load, int err)
{
	pthread_mutex_lock(&load->lock);
	if (!load->err) {
		load->err = err;
		snprintf(load->words, sizeof(load->words), "%s", vas_error());
	}
	pthread_mutex_unlock(&load->lock);
}

static int next_word(struct load *load, struct vas_dirty_word *word)
{
	int is_more;

	pthread_mutex_lock(&load->lock);
	is_more = !load->err && chain_next(load->chain, &load->at, word);
	pthread_mutex_unlock(&load->lock);
	return is_more;
}

static int load_word(struct load *load, struct chain *chain, uint64_t gpa, char *pages)
{
	uint64_t data;
	int err = chain_read(chain, gpa, pages, &data);

	data = err ? 0 : image_pages(chain->images, gpa, data);
	return data ? load_pages(&load->target, gpa, pages, without_zeros(pages, data)) : err;
}

/* Words, one after the other, until there are no more. */
static void *load_words(void *arg)
{
	struct load *load = arg;
	struct chain chain = *load->chain; /* with room of this thread's own for a word */
	char *pages = aligned_alloc(VAS_PAGE_SIZE, 2 * STREAM_WORD_SIZE);
	struct vas_dirty_word word;
	int err = pages ? 0 : vas_error_set(-ENOMEM, "no memory to restore with");

	chain.raw = pages + STREAM_WORD_SIZE;
	while (!err && next_word(load, &word))
		err = load_word(load, &chain, word.gpa, pages);
	if (err)
		end_with(load, err);
	free(pages);
	return NULL;
}

static int nr_helpers(const struct chain *chain)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	const size_t worth = chain->nr_entries / WORDS_PER_HELPER;
	int nr = cpus < MAX_HELPERS ? (int)cpus : MAX_HELPERS;

	return worth < (size_t)nr ? (int)worth : nr;
}

/* What cannot be had of threads, this one does. begun: or NULL. */
static int load_all(struct load *load, const struct vas_restore_options *begun)
{
	pthread_t helpers[MAX_HELPERS];
	int nr = 0, most = nr_helpers(load->chain), err = 0;

	while (nr < most && !vas_spawn(&helpers[nr], load_words, load))
		nr++;
	if (begun)
		err = begun->begun(begun->arg, load->target.vas);
	if (err)
		end_with(load, err);
	load_words(load);
	while (nr)
		pthread_join(helpers[--nr], NULL);
	return load->err ? vas_error_set(load->err, "%s", load->words) : 0;
}

/* ---- all of it ---------------------------------------------------------------------------- */

/* What runs in further backings has to know their regions, which are the last thing to be there. */
static int waits_for_regions(const struct stream_layout *layout)
{
	for (uint32_t i = 1; i < VAS_MAX_BACKINGS; i++)
		if (layout->backings[i].size)
			return 1;
	return 0;
}

static int begin_late(const struct vas_restore_options *options, struct vas *vas)
{
	int err = options->begun(options->arg, vas);

	if (err)
		vas_unbind(vas);
	return err;
}

static int load(struct chain *chain, uint32_t create_flags,
		const struct vas_restore_options *options, struct vas **vas)
{
	const struct image *image = &chain->images[0];
	struct target_options of_target = { .create_flags = create_flags };
	struct load load = { .chain = chain, .lock = PTHREAD_MUTEX_INITIALIZER };
	const int waits = waits_for_regions(image->layout);
	int err = target_init(&load.target, image->layout, image->header.layout_size, &of_target);

	if (err)
		return err;
	err = image_load_devices(image, load.target.vas);
	if (!err)
		err = load_all(&load, options->begun && !waits ? options : NULL);
	if (!err)
		err = target_publish(&load.target, vas);
	target_clean(&load.target);
	return !err && options->begun && waits ? begin_late(options, *vas) : err;
}

static int restore_eagerly(const char *path, uint32_t create_flags, uint32_t chain_flags,
			   const struct vas_restore_options *options, struct vas **vas)
{
	struct chain chain;
	int err = chain_open(&chain, path, chain_flags);

	if (err)
		return err;
	err = load(&chain, create_flags, options, vas);
	chain_close(&chain);
	return err;
}

int restore_create(const struct image *image, struct vas **vas)
{
	const struct stream_layout *layout = image->layout;
	struct vas_options options = { .limit = layout->limit,
				       .ram_size = layout->ram_size,
				       .name = layout->name };
	int err;

	if (!memchr(layout->name, '\0', sizeof(layout->name)))
		return vas_error_set(-EPROTO, "the snapshot's layout makes no sense");
	if (layout->nr_regions > 4096)
		options.max_regions = layout->nr_regions;
	err = vas_create(&options, vas);
	if (err)
		return err == -EINVAL ? -EPROTO : err;
	err = image_load_devices(image, *vas);
	if (err)
		vas_destroy(*vas);
	return err;
}

static int restore_later(const char *path, uint32_t flags, uint32_t chain_flags, struct vas **vas)
{
	switch (flags) {
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

int vas_snapshot_restore_with(const char *path, const struct vas_restore_options *options,
			      struct vas **vas)
{
	const uint32_t flags = options->flags & ~VAS_RESTORE_ANY_FOLDER;
	uint32_t chain_flags = options->flags & VAS_RESTORE_ANY_FOLDER ? CHAIN_ANY_FOLDER : 0;

	if (!flags)
		return restore_eagerly(path, 0, chain_flags, options, vas);
	if (flags == VAS_RESTORE_RAM_APART)
		return restore_eagerly(path, VAS_CREATE_RAM_APART, chain_flags, options, vas);
	if (options->begun)
		return vas_error_set(-EINVAL, "flags %#x: nothing begins that would not be done",
				     flags);
	return restore_later(path, flags, chain_flags, vas);
}

int vas_snapshot_restore(const char *path, uint32_t flags, struct vas **vas)
{
	const struct vas_restore_options options = { .flags = flags };

	return vas_snapshot_restore_with(path, &options, vas);
}
