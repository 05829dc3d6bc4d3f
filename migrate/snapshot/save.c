// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_snapshot_save(): all of it, or what is other than in a parent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/device.h>
#include <vas/migrate.h>

#include "migrate/base/layout.h"
#include "migrate/snapshot/save.h"
#include "migrate/base/sum.h"

#define BATCH 1024u

static int save_words(struct save *s)
{
	const struct vas_dirty_word *words;
	uint64_t gpa = 0;
	int err = 0;

	while (!err && gpa < s->info.limit) {
		ssize_t i, nr = vas_tracker_harvest(s->dirty, &gpa, s->info.limit, BATCH, &words);

		err = nr < 0 ? (int)nr : 0;
		for (i = 0; !err && i < nr; i++)
			err = save_word(s, &words[i]);
	}
	return err;
}

/* ---- the parent --------------------------------------------------------------------------- */

static int check_parent(const struct save *s)
{
	struct stat st;

	if (s->parent.nr == SNAPSHOT_MAX_PARENTS)
		return vas_error_set(-ELOOP,
				     "%d snapshots on each other are the most: make a full one",
				     SNAPSHOT_MAX_PARENTS);
	if (!stat(s->file.path, &st) && chain_has(&s->parent, &st))
		return vas_error_set(-EEXIST,
				     "%s is what the new snapshot would stand on: give it "
				     "another name",
				     s->file.path);
	/* A tracker's marks mean nothing beside the memory of another vas. */
	if (!s->compares && memcmp(s->parent.images[0].header.vas, s->info.uuid, 16))
		return vas_error_set(-EINVAL,
				     "the parent is a snapshot of another vas: save without a "
				     "tracker, which compares the pages");
	return 0;
}

static int open_parent(struct save *s, const char *parent)
{
	char path[PATH_MAX];
	int err;

	if (strlen(parent) >= sizeof(s->header.parent))
		return vas_error_set(-ENAMETOOLONG, "the parent's path is too long");
	strcpy(s->header.parent, parent);
	err = snapshot_parent_path(s->file.path, parent, path);
	if (!err)
		err = chain_open(&s->parent, path, strchr(parent, '/') ? CHAIN_ANY_FOLDER : 0);
	if (!err)
		err = check_parent(s);
	if (!err)
		memcpy(s->header.parent_id, s->parent.images[0].header.id, 16);
	return err;
}

/* ---- the file ----------------------------------------------------------------------------- */

/*
 * What the parent has and nobody may have written: memory that was given back since, or removed
 * with its region and added again, holds zeros that the child has to record.
 */
static void mark_parents(const struct save *s)
{
	struct vas_dirty_word word;
	size_t at = 0;

	while (chain_next(&s->parent, &at, &word))
		if (word.bits)
			vas_mark_dirty_word(s->vas, word.gpa, word.bits);
}

static int write_layout(struct save *s)
{
	struct stream_layout *layout;
	const struct image *parent = s->parent.nr ? s->parent.images : NULL;
	int err = layout_describe(s->vas, s->regions, s->nr_regions, &layout);

	if (err)
		return err;
	s->header.layout_size = layout_size(layout);
	s->header.data_offset = snapshot_data_offset(s->header.layout_size);
	s->header.layout_sum = sum_add(s->key, layout, s->header.layout_size);
	if (parent && (s->compares || parent->header.layout_size != s->header.layout_size ||
		       memcmp(parent->layout, layout, s->header.layout_size)))
		mark_parents(s);
	err = atomic_write(&s->file, layout, s->header.layout_size, sizeof(s->header));
	free(layout);
	return err;
}

static int write_rest(struct save *s)
{
	size_t i, size = s->header.nr_words * sizeof(*s->words);
	int err;

	s->header.words_offset = s->header.data_offset;
	for (i = 0; i < s->nr_regions; i++)
		s->header.words_offset += s->regions[i].size;
	s->header.words_sum = sum_add(s->key, s->words, size);
	s->header.state_size = s->options->state_size;
	s->header.state_sum = sum_add(s->key, s->options->state, s->header.state_size);
	s->header.devices_sum = sum_add(s->key, s->devices, s->header.devices_size);
	s->header.header_sum =
		sum_add(s->key, &s->header, offsetof(struct snapshot_header, header_sum));
	err = atomic_write(&s->file, s->words, size, s->header.words_offset);
	if (!err)
		err = atomic_write(&s->file, s->options->state, s->header.state_size,
				   s->header.words_offset + size);
	size += s->header.state_size;
	if (!err)
		err = atomic_write(&s->file, s->devices, s->header.devices_size,
				   s->header.words_offset + size);
	size += s->header.devices_size;
	if (!err)
		err = atomic_truncate(&s->file, s->header.words_offset + size);
	return err ? err : atomic_write(&s->file, &s->header, sizeof(s->header), 0);
}

static int init_header(struct save *s)
{
	int err = vas_info(s->vas, &s->info);

	if (err)
		return err;
	if (getrandom(s->header.id, sizeof(s->header.id), 0) != sizeof(s->header.id))
		return vas_error_set(-EIO, "no random bytes for the snapshot's id");
	s->header.magic = SNAPSHOT_MAGIC;
	s->header.version = SNAPSHOT_VERSION;
	memcpy(s->header.vas, s->info.uuid, sizeof(s->header.vas));
	s->key = snapshot_key(&s->header);
	return 0;
}

/* Everything, where nobody has tracked; or what is marked from here on, and told() has the rest. */
static int track(struct save *s)
{
	const uint32_t flags = s->options->told ? 0 : VAS_TRACKER_ALL;
	int err = vas_tracker_attach(s->vas, "snapshot", flags, &s->dirty);

	return err ? err : vas_tracker_begin(s->dirty);
}

static int begin(struct save *s)
{
	int err = layout_take(s->vas, &s->regions, &s->nr_regions);

	s->dirty = s->options->tracker;
	if (!err && !s->dirty)
		err = track(s);
	return err ? err : write_layout(s);
}

/* So that little of what others mark is left for the time when all stand. */
static int save_marked(struct save *s)
{
	int err = save_words(s);

	if (!err)
		err = vas_tracker_commit(s->dirty);
	return err ? err : vas_tracker_begin(s->dirty);
}

/* What the VMM tells of, until the guest stands. */
static int save_told(struct save *s)
{
	struct vas_dirty_word words[BATCH];
	unsigned int since = 0;
	ssize_t nr;
	int err = 0;

	while (!err && (nr = s->options->told(s->options->arg, words, BATCH))) {
		err = nr < 0 ? (int)nr : 0;
		for (ssize_t i = 0; !err && i < nr; i++)
			err = save_word(s, &words[i]);
		since += !err ? (unsigned int)nr : 0;
		if (since < BATCH)
			continue;
		err = save_marked(s);
		since = 0;
	}
	return err;
}

/* It is not frozen while it is saved, and regions may come and go. */
static int check_layout(struct save *s)
{
	struct vas_region *now;
	size_t nr;
	int err = layout_take(s->vas, &now, &nr);

	if (err)
		return err;
	if (nr != s->nr_regions || memcmp(now, s->regions, nr * sizeof(*now)))
		err = vas_error_set(-ESTALE, "the layout changed during the snapshot");
	free(now);
	return err;
}

static int save_frozen(struct save *s)
{
	int err = vas_freeze(s->vas, VAS_TIMEOUT_DEFAULT_NS, NULL), was_frozen = err == -EALREADY;

	if (err && !was_frozen)
		return err;
	err = s->options->told ? check_layout(s) : begin(s);
	if (!err)
		err = vas_devices_save(s->vas, &s->devices, &s->header.devices_size);
	if (!err)
		err = save_words(s);
	if (!err && !s->options->told)
		err = write_rest(s);
	else if (!err && s->options->compare_told)
		err = live_compare(s);
	if (!was_frozen)
		vas_thaw(s->vas);
	if (!err && s->options->written)
		err = s->options->written(s->options->arg);
	return err;
}

static int check_options(const struct vas_snapshot_options *options)
{
	if (options->fd && options->parent)
		return vas_error_set(-EINVAL, "a file without a name stands on no other");
	if (options->tracker && options->told)
		return vas_error_set(-EINVAL, "a tracker is for a guest that stands");
	if (options->tracker && !options->parent)
		return vas_error_set(-EINVAL, "a tracker's pages need a parent that has the rest");
	if (options->state_size > STREAM_MAX_STATE)
		return vas_error_set(-EFBIG, "a state of %zu bytes is too large",
				     options->state_size);
	return 0;
}

static int settle(struct save *s)
{
	if (!s->options->fd)
		return atomic_settle(&s->file);
	*s->options->fd = s->file.fd;
	s->file.fd = -1;
	return 0;
}

static int save(struct save *s)
{
	int err = s->options->told ? begin(s) : 0;

	if (!err && s->options->told)
		err = save_told(s);
	if (!err)
		err = save_frozen(s);
	if (!s->options->tracker)
		vas_tracker_detach(s->dirty);
	/* What takes long from here on needs no more memory of the guest's. */
	if (!err && s->options->told)
		err = check_options(s->options);
	if (!err && s->options->told)
		err = live_finish(s);
	if (!err && s->options->told)
		err = write_rest(s);
	return err ? err : settle(s);
}

static int save_buffered(struct save *s)
{
	int err;

	s->raw = malloc(STREAM_WORD_SIZE);
	s->before = malloc(STREAM_WORD_SIZE);
	s->saved = malloc(STREAM_WORD_SIZE);
	if (!s->raw || !s->before || !s->saved)
		return vas_error_set(-ENOMEM, "no memory for a buffer");
	err = init_header(s);
	if (!err && s->options->parent)
		err = open_parent(s, s->options->parent);
	return err ? err : save(s);
}

int vas_snapshot_save_with(struct vas *vas, const char *path,
			   const struct vas_snapshot_options *options)
{
	struct save s = { .vas = vas,
			  .options = options,
			  .compares = options->parent && !options->tracker };
	int err = check_options(options);

	if (err)
		return err;
	err = options->fd ? atomic_open_nameless(&s.file, path) : atomic_open(&s.file, path);
	if (!err)
		err = save_buffered(&s);
	atomic_clean(&s.file);
	chain_close(&s.parent);
	free(s.raw);
	free(s.before);
	free(s.saved);
	free(s.words);
	free(s.devices);
	live_clean(&s.live);
	free(s.regions);
	return err;
}

int vas_snapshot_save(struct vas *vas, const char *path, const char *parent,
		      struct vas_tracker *tracker)
{
	struct vas_snapshot_options options = { .parent = parent, .tracker = tracker };

	return vas_snapshot_save_with(vas, path, &options);
}
