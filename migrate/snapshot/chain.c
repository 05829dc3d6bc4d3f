// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/snapshot/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <vas/consumer.h>

/* ---- opening ------------------------------------------------------------------------------ */

bool chain_has(const struct chain *chain, const struct stat *st)
{
	struct stat other;
	uint32_t i;

	for (i = 0; i < chain->nr; i++)
		if (!fstat(chain->images[i].fd, &other) && other.st_dev == st->st_dev &&
		    other.st_ino == st->st_ino)
			return true;
	return false;
}

/* Where the image's parent is: 1, or 0 if it has none. */
static int find_parent(const struct image *image, char here[PATH_MAX], uint32_t flags)
{
	const char *name = image->header.parent;
	char parent[PATH_MAX];
	int err;

	if (!*name)
		return 0;
	/* It is whoever made the file that says what is opened here. */
	if (strchr(name, '/') && !(flags & CHAIN_ANY_FOLDER))
		return vas_error_set(-EXDEV, "%s wants a parent from another folder, %s", here,
				     name);
	err = snapshot_parent_path(here, name, parent);
	if (err)
		return err;
	strcpy(here, parent);
	return 1;
}

/* Not a second time: a circle would be read as often as a chain is long. */
static int check_new(const struct chain *chain, const char *here)
{
	struct stat st;

	if (!chain->nr || stat(here, &st) || !chain_has(chain, &st))
		return 0;
	return vas_error_set(-ELOOP, "%s is its own parent", here);
}

/* The image at `here`, and where its parent is: 1 if it has one. */
static int open_next(struct chain *chain, char here[PATH_MAX], uint32_t flags)
{
	struct image *image = &chain->images[chain->nr];
	int follow = !chain->nr || flags & CHAIN_ANY_FOLDER ? 0 : O_NOFOLLOW;
	int err = check_new(chain, here);

	if (!err)
		err = image_open(image, here, follow);
	if (err)
		return err;
	chain->nr++;
	if (chain->nr > 1 && memcmp(image[-1].header.parent_id, image->header.id, 16))
		return vas_error_set(-EPROTO, "%s is not the snapshot that its child was made on",
				     here);
	return find_parent(image, here, flags);
}

static int open_images(struct chain *chain, const char *path, uint32_t flags)
{
	char here[PATH_MAX];
	int more = 1;

	if (strlen(path) >= sizeof(here))
		return vas_error_set(-ENAMETOOLONG, "the path is too long");
	strcpy(here, path);
	while (more > 0 && chain->nr < SNAPSHOT_MAX_PARENTS)
		more = open_next(chain, here, flags);
	return more <= 0 ? more :
			   vas_error_set(-ELOOP, "more than %d snapshots on each other",
					 SNAPSHOT_MAX_PARENTS);
}

static int compare(const void *a, const void *b)
{
	const struct chain_entry *x = a, *y = b;

	if (x->gpa != y->gpa)
		return x->gpa < y->gpa ? -1 : 1;
	return x->image < y->image ? -1 : x->image > y->image;
}

static int list_words(struct chain *chain)
{
	size_t nr = 0;
	uint64_t i;
	uint32_t n;

	for (n = 0; n < chain->nr; n++)
		nr += chain->images[n].header.nr_words;
	chain->entries = calloc(nr + 1, sizeof(*chain->entries));
	chain->raw = malloc(STREAM_WORD_SIZE);
	if (!chain->entries || !chain->raw)
		return vas_error_set(-ENOMEM, "no memory for a list of %zu words", nr);
	for (n = 0; n < chain->nr; n++)
		for (i = 0; i < chain->images[n].header.nr_words; i++) {
			const struct snapshot_word *word = &chain->images[n].words[i];

			chain->entries[chain->nr_entries++] =
				(struct chain_entry){ word->gpa, n, word };
		}
	qsort(chain->entries, chain->nr_entries, sizeof(*chain->entries), compare);
	return 0;
}

int chain_open(struct chain *chain, const char *path, uint32_t flags)
{
	int err;

	memset(chain, 0, sizeof(*chain));
	chain->images = calloc(SNAPSHOT_MAX_PARENTS, sizeof(*chain->images));
	err = chain->images ? open_images(chain, path, flags) :
			      vas_error_set(-ENOMEM, "no memory to read snapshots with");
	if (!err)
		err = list_words(chain);
	if (err)
		chain_close(chain);
	return err;
}

void chain_close(struct chain *chain)
{
	while (chain->nr)
		image_close(&chain->images[--chain->nr]);
	free(chain->images);
	free(chain->entries);
	free(chain->raw);
	memset(chain, 0, sizeof(*chain));
}

/* ---- reading ------------------------------------------------------------------------------ */

int chain_next(const struct chain *chain, size_t *at, struct vas_dirty_word *word)
{
	uint64_t known = 0;

	if (*at == chain->nr_entries)
		return 0;
	*word = (struct vas_dirty_word){ .gpa = chain->entries[*at].gpa };
	for (; *at < chain->nr_entries && chain->entries[*at].gpa == word->gpa; ++*at) {
		const struct snapshot_word *w = chain->entries[*at].word;

		word->bits |= w->data & ~known;
		known |= w->data | w->zero;
	}
	return 1;
}

static size_t first_of(const struct chain *chain, uint64_t gpa)
{
	size_t low = 0, high = chain->nr_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (chain->entries[middle].gpa < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* From raw, where the pages of `data` are one after the other, those that are wanted. */
static void scatter(const char *raw, uint64_t data, uint64_t wanted, char *pages)
{
	for (; data; data &= data - 1, raw += VAS_PAGE_SIZE) {
		unsigned int bit = (unsigned int)__builtin_ctzll(data);

		if (wanted >> bit & 1)
			memcpy(pages + bit * VAS_PAGE_SIZE, raw, VAS_PAGE_SIZE);
	}
}

int chain_read(struct chain *chain, uint64_t gpa, char *pages, uint64_t *data)
{
	uint64_t known = 0;
	size_t at;
	int err = 0;

	*data = 0;
	for (at = first_of(chain, gpa); !err && at < chain->nr_entries; at++) {
		const struct chain_entry *e = &chain->entries[at];
		uint64_t wanted = e->word->data & ~known;

		if (e->gpa != gpa)
			break;
		known |= e->word->data | e->word->zero;
		if (!wanted)
			continue;
		*data |= wanted;
		/* All 64: they are read to where they belong. */
		if (wanted == UINT64_MAX) {
			err = image_read(&chain->images[e->image], e->word, pages);
			continue;
		}
		err = image_read(&chain->images[e->image], e->word, chain->raw);
		if (!err)
			scatter(chain->raw, e->word->data, wanted, pages);
	}
	return err;
}
