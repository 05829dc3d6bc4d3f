// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/snapshot/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "migrate/base/pages.h"
#include "migrate/base/sum.h"
#include "migrate/snapshot/save.h"

#define FIRST_ROOM 4096u

static const char zeros[VAS_PAGE_SIZE];

static int compare(const void *a, const void *b)
{
	const struct live_word *x = a, *y = b;

	if (x->gpa != y->gpa)
		return x->gpa < y->gpa ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Pages whose bytes are in the file, and count no more. */
static int punch(struct save *s, uint64_t gpa, uint64_t bits)
{
	for (; bits; bits &= bits - 1) {
		uint64_t offset, page = gpa + (uint64_t)__builtin_ctzll(bits) * VAS_PAGE_SIZE;

		if (!save_region(s, page, &offset))
			return vas_error_set(-ESTALE, "the layout changed during the snapshot");
		if (fallocate(s->file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			      VAS_PAGE_SIZE) &&
		    pwrite(s->file.fd, zeros, VAS_PAGE_SIZE, (off_t)offset) != VAS_PAGE_SIZE)
			return vas_error_set(-EIO, "%s: cannot clear a page", s->file.path);
	}
	return 0;
}

/* The words of one gpa as one. */
static int merge(struct save *s, const struct live_word *words, size_t nr, struct live_word *to)
{
	struct live_word all = words[0];
	uint64_t ever = all.data;

	for (size_t i = 1; i < nr; i++) {
		const struct live_word *next = &words[i];

		ever |= next->data;
		all.data = (all.data & ~next->told) | next->data;
		all.zero = (all.zero & ~next->told) | next->zero;
		all.told |= next->told;
	}
	*to = all;
	return punch(s, all.gpa, ever & ~all.data);
}

static int compact(struct save *s)
{
	struct live *live = &s->live;
	size_t to = 0, from = 0;
	int err = 0;

	qsort(live->words, live->nr, sizeof(*live->words), compare);
	while (!err && from < live->nr) {
		size_t nr = 1;

		while (from + nr < live->nr && live->words[from + nr].gpa == live->words[from].gpa)
			nr++;
		err = merge(s, live->words + from, nr, &live->words[to]);
		/* The oldest there is: what comes counts more. */
		live->words[to++].order = 0;
		from += nr;
	}
	if (!err)
		live->nr = live->compact = to;
	return err;
}

static int make_room(struct save *s)
{
	struct live *live = &s->live;
	struct live_word *words;
	size_t room = live->room ? live->room * 2 : FIRST_ROOM;

	if (live->nr < live->room)
		return 0;
	/* Words that were told over and over take no more than there are, twice. */
	if (live->nr > 2 * live->compact + FIRST_ROOM / 2) {
		int err = compact(s);

		if (err || live->nr <= live->room / 2)
			return err;
	}
	words = realloc(live->words, room * sizeof(*words));
	if (!words)
		return vas_error_set(-ENOMEM, "no memory for the list of pages");
	live->words = words;
	live->room = room;
	return 0;
}

int live_note(struct save *s, const struct live_word *word)
{
	int err = make_room(s);

	if (err)
		return err;
	s->live.words[s->live.nr] = *word;
	s->live.words[s->live.nr++].order = ++s->live.last;
	return 0;
}

static int read_file(struct save *s, char *to, size_t size, uint64_t offset)
{
	if (pread(s->file.fd, to, size, (off_t)offset) == (ssize_t)size)
		return 0;
	return vas_error_set(-EIO, "%s: what was written cannot be read", s->file.path);
}

/* The pages with bytes, as the file has them, into `to`. Those in a row there are one read. */
static int read_back(struct save *s, const struct live_word *word, char *to, size_t *size)
{
	uint64_t from = 0;
	size_t done = 0; /* before those that are still to be read, from `from` on */
	int err = 0;

	*size = 0;
	for (uint64_t bits = word->data; !err && bits; bits &= bits - 1) {
		uint64_t offset, page = word->gpa + (uint64_t)__builtin_ctzll(bits) * VAS_PAGE_SIZE;

		if (!save_region(s, page, &offset))
			return vas_error_set(-ESTALE, "the layout changed during the snapshot");
		if (offset != from + (*size - done)) {
			err = read_file(s, to + done, *size - done, from);
			done = *size;
			from = offset;
		}
		*size += VAS_PAGE_SIZE;
	}
	return err ? err : read_file(s, to + done, *size - done, from);
}

/* One that is not in the file as it is now is saved once more. */
static int compare_word(struct save *s, const struct live_word *word)
{
	const struct vas_dirty_word told = { word->gpa, word->told };
	struct pages pages;
	size_t size;
	int err = read_back(s, word, s->saved, &size);

	if (!err)
		err = save_look(s, &told, &pages);
	if (err || (pages.data == word->data && pages.zero == word->zero &&
		    !memcmp(s->raw, s->saved, size)))
		return err;
	return save_looked(s, &told, &pages);
}

int live_compare(struct save *s)
{
	struct live_word *words;
	size_t nr;
	int err = compact(s);

	/* The list may move as it grows. */
	nr = s->live.nr;
	words = err ? NULL : malloc((nr + 1) * sizeof(*words));
	if (!err && !words)
		err = vas_error_set(-ENOMEM, "no memory for the list of pages");
	if (!err)
		memcpy(words, s->live.words, nr * sizeof(*words));
	for (size_t i = 0; !err && i < nr; i++)
		err = compare_word(s, &words[i]);
	free(words);
	return err;
}

int live_finish(struct save *s)
{
	int err = compact(s);

	s->words = err ? NULL : calloc(s->live.nr + 1, sizeof(*s->words));
	if (!err && !s->words)
		err = vas_error_set(-ENOMEM, "no memory for the list of pages");
	for (size_t i = 0; !err && i < s->live.nr; i++) {
		const struct live_word *word = &s->live.words[i];
		size_t size;

		/* Without a parent, what is not there is zero. */
		if (!word->data && !(word->zero && s->parent.nr))
			continue;
		err = read_back(s, word, s->raw, &size);
		if (!err)
			s->words[s->header.nr_words++] =
				(struct snapshot_word){ .gpa = word->gpa,
							.data = word->data,
							.zero = word->zero,
							.sum = sum_add(s->key, s->raw, size) };
	}
	return err;
}

void live_clean(struct live *live)
{
	free(live->words);
}
