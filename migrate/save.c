// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_snapshot_save(): written beside its place, then renamed into it. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <vas/consumer.h>
#include <vas/dirty.h>
#include <vas/migrate.h>

#include "migrate/layout.h"
#include "migrate/pages.h"
#include "migrate/snapshot.h"
#include "migrate/snapshot_file.h"
#include "migrate/sum.h"

#define BATCH 1024u

struct save {
	struct vas *vas;
	struct vas_dirty *dirty;
	const char *path;
	char temporary[PATH_MAX];
	int fd;
	struct snapshot_header header;
	struct vas_region *regions;
	size_t nr_regions;
	struct snapshot_word *words;
	size_t room;
	char *raw;
	uint64_t key;
};

static int write_at(const struct save *s, const void *bytes, size_t size, uint64_t offset)
{
	const char *p = bytes;

	while (size) {
		ssize_t nr = pwrite(s->fd, p, size, (off_t)offset);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr <= 0)
			return vas_fail(nr ? -errno : -ENOSPC, "cannot write %s: %s", s->temporary,
					strerror(nr ? errno : ENOSPC));
		p += nr;
		size -= (size_t)nr;
		offset += (uint64_t)nr;
	}
	return 0;
}

/* ---- pages -------------------------------------------------------------------------------- */

static const struct vas_region *region_of(const struct save *s, uint64_t gpa, uint64_t *offset)
{
	size_t i;

	*offset = s->header.data_offset;
	for (i = 0; i < s->nr_regions; i++) {
		if (gpa - s->regions[i].gpa < s->regions[i].size) {
			*offset += gpa - s->regions[i].gpa;
			return &s->regions[i];
		}
		*offset += s->regions[i].size;
	}
	return NULL;
}

/* Each run of pages that is contiguous in the file is one write. */
static int write_pages(struct save *s, uint64_t gpa, uint64_t bits)
{
	const char *from = s->raw;
	int err = 0;

	while (!err && bits) {
		unsigned int bit = (unsigned int)__builtin_ctzll(bits);
		uint64_t offset, page = gpa + bit * VAS_PAGE_SIZE;
		const struct vas_region *region = region_of(s, page, &offset);
		size_t size = 0;

		if (!region)
			return vas_fail(-ESTALE, "the layout changed during the snapshot");
		do {
			size += VAS_PAGE_SIZE;
			bits &= bits - 1;
		} while (bits && (unsigned int)__builtin_ctzll(bits) == bit + size / VAS_PAGE_SIZE &&
			 page + size - region->gpa < region->size);
		err = write_at(s, from, size, offset);
		from += size;
	}
	return err;
}

static int make_room(struct save *s)
{
	struct snapshot_word *words;
	size_t room = s->room ? s->room * 2 : BATCH;

	if (s->header.nr_words < s->room)
		return 0;
	words = realloc(s->words, room * sizeof(*words));
	if (!words)
		return vas_fail(-ENOMEM, "no memory for the list of pages");
	s->words = words;
	s->room = room;
	return 0;
}

static int save_word(struct save *s, const struct vas_dirty_word *word)
{
	struct pages pages;
	int err = make_room(s);

	if (!err)
		err = pages_read(s->vas, word, s->raw, &pages);
	/* Without a parent, what is not there is zero. */
	if (err || (!pages.data && !s->header.parent[0]))
		return err;
	s->words[s->header.nr_words++] = (struct snapshot_word){
		.gpa = word->gpa,
		.data = pages.data,
		.zero = pages.zero,
		.sum = sum_add(s->key, s->raw, pages.size),
	};
	return write_pages(s, word->gpa, pages.data);
}

static int save_words(struct save *s, uint64_t limit)
{
	struct vas_dirty_word *words = malloc(BATCH * sizeof(*words));
	uint64_t gpa = 0;
	int err = words ? 0 : vas_fail(-ENOMEM, "no memory for dirty pages");

	while (!err && gpa < limit) {
		ssize_t i, nr = vas_dirty_harvest(s->dirty, &gpa, limit, words, BATCH);

		err = nr < 0 ? (int)nr : 0;
		for (i = 0; !err && i < nr; i++)
			err = save_word(s, &words[i]);
	}
	free(words);
	return err;
}

/* ---- the file ----------------------------------------------------------------------------- */

static int open_temporary(struct save *s)
{
	if (snprintf(s->temporary, sizeof(s->temporary), "%s.XXXXXX", s->path) >=
	    (int)sizeof(s->temporary))
		return vas_fail(-ENAMETOOLONG, "the path is too long");
	s->fd = mkostemp(s->temporary, O_CLOEXEC);
	return s->fd < 0 ? vas_fail(-errno, "cannot make %s: %s", s->temporary, strerror(errno)) : 0;
}

static int name_parent(struct save *s, const char *parent)
{
	struct snapshot_header theirs;
	char path[PATH_MAX];
	int err, fd;

	if (!parent)
		return 0;
	if (strlen(parent) >= sizeof(s->header.parent))
		return vas_fail(-ENAMETOOLONG, "the parent's path is too long");
	strcpy(s->header.parent, parent);
	err = snapshot_parent_path(s->path, parent, path);
	fd = err ? err : snapshot_open(path, &theirs);
	if (fd < 0)
		return fd;
	close(fd);
	memcpy(s->header.parent_id, theirs.id, sizeof(theirs.id));
	return 0;
}

static int write_layout(struct save *s)
{
	struct stream_layout *layout;
	int err = layout_describe(s->vas, s->regions, s->nr_regions, &layout);

	if (err)
		return err;
	s->header.layout_size = layout_size(layout);
	s->header.data_offset = snapshot_data_offset(s->header.layout_size);
	s->header.layout_sum = sum_add(s->key, layout, s->header.layout_size);
	err = write_at(s, layout, s->header.layout_size, sizeof(s->header));
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
	s->header.header_sum = sum_add(s->key, &s->header,
				       offsetof(struct snapshot_header, header_sum));
	err = write_at(s, s->words, size, s->header.words_offset);
	if (!err && ftruncate(s->fd, (off_t)(s->header.words_offset + size)))
		err = -errno;
	return err ? err : write_at(s, &s->header, sizeof(s->header), 0);
}

/* In its place, and there to stay: the file's bytes first, then the folder's. */
static int settle(struct save *s)
{
	char folder[PATH_MAX];
	int fd, err = 0;

	if (fsync(s->fd) || rename(s->temporary, s->path))
		return vas_fail(-errno, "cannot put %s in its place: %s", s->path, strerror(errno));
	strcpy(folder, s->path);
	fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		err = vas_fail(-errno, "cannot sync the folder of %s: %s", s->path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return err;
}

static int save(struct save *s, const char *parent)
{
	struct vas_info info;
	int err = vas_info(s->vas, &info);

	if (getrandom(s->header.id, sizeof(s->header.id), 0) != sizeof(s->header.id))
		return vas_fail(-EIO, "no random bytes for the snapshot's id");
	s->header.magic = SNAPSHOT_MAGIC;
	s->header.version = SNAPSHOT_VERSION;
	s->key = snapshot_key(&s->header);
	if (!err)
		err = name_parent(s, parent);
	if (!err)
		err = layout_take(s->vas, &s->regions, &s->nr_regions);
	if (!err)
		err = write_layout(s);
	if (!err)
		err = save_words(s, info.limit);
	if (!err)
		err = write_rest(s);
	return err ? err : settle(s);
}

/* Everything, for a snapshot that has no parent. */
static int track_all(struct save *s)
{
	int err = vas_dirty_attach(s->vas, "snapshot", VAS_DIRTY_ALL, &s->dirty);

	return err ? err : vas_dirty_begin(s->dirty);
}

static int save_frozen(struct save *s, const char *parent, struct vas_dirty *dirty)
{
	int err = vas_freeze(s->vas, VAS_TIMEOUT_DEFAULT_NS, NULL), was_frozen = err == -EALREADY;

	if (err && !was_frozen)
		return err;
	s->dirty = dirty;
	err = dirty ? 0 : track_all(s);
	if (!err)
		err = save(s, parent);
	if (!dirty)
		vas_dirty_detach(s->dirty);
	if (!was_frozen)
		vas_thaw(s->vas);
	return err;
}

int vas_snapshot_save(struct vas *vas, const char *path, const char *parent, struct vas_dirty *dirty)
{
	struct save s = { .vas = vas, .path = path, .fd = -1 };
	int err;

	if (!!parent != !!dirty)
		return vas_fail(-EINVAL, "a parent and a tracker go together, or neither is given");
	s.raw = malloc(STREAM_WORD_SIZE);
	if (!s.raw)
		return vas_fail(-ENOMEM, "no memory for a buffer");
	err = open_temporary(&s);
	if (!err)
		err = save_frozen(&s, parent, dirty);
	if (s.fd >= 0)
		close(s.fd);
	if (err && s.fd >= 0)
		unlink(s.temporary);
	free(s.raw);
	free(s.words);
	free(s.regions);
	return err;
}
