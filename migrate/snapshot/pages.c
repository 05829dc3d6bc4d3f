// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Which pages of a word go into a snapshot, and where. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

#include "migrate/base/pages.h"
#include "migrate/snapshot/save.h"
#include "migrate/base/sum.h"

#define FIRST_ROOM 1024u

const struct vas_region *save_region(const struct save *s, uint64_t gpa, uint64_t *offset)
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

/* Each range of pages that is contiguous in the file is one write. */
static int write_pages(struct save *s, uint64_t gpa, uint64_t bits)
{
	const char *from = s->raw;
	int err = 0;

	while (!err && bits) {
		unsigned int bit = (unsigned int)__builtin_ctzll(bits);
		uint64_t offset, page = gpa + bit * VAS_PAGE_SIZE;
		const struct vas_region *region = save_region(s, page, &offset);
		size_t size = 0;

		if (!region)
			return vas_error_set(-ESTALE, "the layout changed during the snapshot");
		do {
			size += VAS_PAGE_SIZE;
			bits &= bits - 1;
		} while (bits &&
			 (unsigned int)__builtin_ctzll(bits) == bit + size / VAS_PAGE_SIZE &&
			 page + size - region->gpa < region->size);
		err = atomic_write(&s->file, from, size, offset);
		from += size;
	}
	return err;
}

static int make_room(struct save *s)
{
	struct snapshot_word *words;
	size_t room = s->room ? s->room * 2 : FIRST_ROOM;

	if (s->header.nr_words < s->room)
		return 0;
	words = realloc(s->words, room * sizeof(*words));
	if (!words)
		return vas_error_set(-ENOMEM, "no memory for the list of pages");
	s->words = words;
	s->room = room;
	return 0;
}

/* Leave out what the parent has as well; what is left of raw moves together. */
static int drop_unchanged(struct save *s, uint64_t gpa, struct pages *pages)
{
	const char *from = s->raw;
	char *to = s->raw;
	uint64_t had, bits;
	int err = chain_read(&s->parent, gpa, s->before, &had);

	if (err)
		return err;
	for (bits = pages->data; bits; bits &= bits - 1, from += VAS_PAGE_SIZE) {
		unsigned int bit = (unsigned int)__builtin_ctzll(bits);

		if (had >> bit & 1 &&
		    !memcmp(from, s->before + bit * VAS_PAGE_SIZE, VAS_PAGE_SIZE)) {
			pages->data &= ~(1ull << bit);
			continue;
		}
		if (to != from)
			memmove(to, from, VAS_PAGE_SIZE);
		to += VAS_PAGE_SIZE;
	}
	pages->zero &= had;
	pages->size = (size_t)(to - s->raw);
	return 0;
}

static int note(struct save *s, uint64_t gpa, const struct pages *pages)
{
	int err = make_room(s);

	/* Without a parent, what is not there is zero. */
	if (err || !(pages->data || (pages->zero && s->parent.nr)))
		return err;
	s->words[s->header.nr_words++] = (struct snapshot_word){
		.gpa = gpa,
		.data = pages->data,
		.zero = pages->zero,
		.sum = sum_add(s->key, s->raw, pages->size),
	};
	return 0;
}

int save_look(struct save *s, const struct vas_dirty_word *word, struct pages *pages)
{
	int err = pages_read(s->vas, word, s->raw, pages);

	return !err && s->compares ? drop_unchanged(s, word->gpa, pages) : err;
}

int save_looked(struct save *s, const struct vas_dirty_word *word, const struct pages *pages)
{
	int err;

	if (s->options->told)
		err = live_note(s, &(struct live_word){ .gpa = word->gpa,
							.told = word->bits,
							.data = pages->data,
							.zero = pages->zero });
	else
		err = note(s, word->gpa, pages);
	return err ? err : write_pages(s, word->gpa, pages->data);
}

int save_word(struct save *s, const struct vas_dirty_word *word)
{
	struct pages pages;
	int err = save_look(s, word, &pages);

	return err ? err : save_looked(s, word, &pages);
}
