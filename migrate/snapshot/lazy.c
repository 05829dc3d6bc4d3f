// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A snapshot and its parents as a source of lazy memory: <vas/lazy.h>. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <vas/lazy.h>
#include <vas/consumer.h>

#include "migrate/snapshot/chain.h"
#include "migrate/snapshot/restore.h"

struct lazy {
	struct vas_source source; /* first */
	struct chain chain;
};

static int fetch(struct vas_source *source, uint64_t gpa, void *pages, uint64_t *bits)
{
	struct lazy *lazy = (struct lazy *)source;

	return chain_read(&lazy->chain, gpa, pages, bits);
}

static void end(struct vas_source *source)
{
	struct lazy *lazy = (struct lazy *)source;

	chain_close(&lazy->chain);
	free(lazy);
}

static struct vas_dirty_word *list_words(const struct lazy *lazy, size_t *nr)
{
	struct vas_dirty_word *words = malloc((lazy->chain.nr_entries + 1) * sizeof(*words));
	size_t at = 0;

	*nr = 0;
	if (!words) {
		vas_error_set(-ENOMEM, "no memory for a list of pages");
		return NULL;
	}
	while (chain_next(&lazy->chain, &at, &words[*nr])) {
		words[*nr].bits = image_pages(lazy->chain.images, words[*nr].gpa, words[*nr].bits);
		*nr += words[*nr].bits != 0;
	}
	return words;
}

static int check_backings(const struct stream_layout *layout)
{
	uint32_t i;

	if (layout->page_size != VAS_PAGE_SIZE)
		return vas_error_set(-EOPNOTSUPP,
				     "a snapshot of memory in huge pages is restored eagerly "
				     "only");
	for (i = 1; i < VAS_MAX_BACKINGS; i++)
		if (layout->backings[i].size)
			return vas_error_set(-EOPNOTSUPP,
					     "a snapshot with further backings is restored "
					     "eagerly only");
	return 0;
}

static int add_regions(struct vas_layout *layout, const struct image *image)
{
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < image->layout->nr_regions; i++) {
		const struct vas_region_entry *entry = &image_regions(image)[i];
		struct vas_region region = { .gpa = entry->gpa,
					     .size = entry->size,
					     .offset = entry->offset,
					     .backing = entry->backing,
					     .flags = entry->flags };

		memcpy(region.name, entry->name, sizeof(region.name) - 1);
		err = vas_layout_add(layout, &region, NULL);
	}
	return err == -EINVAL || err == -EEXIST || err == -EBADF ? -EPROTO : err;
}

/* The source ends here or with the vas. */
static int commit(struct lazy *lazy, struct vas *vas, uint32_t flags)
{
	struct vas_dirty_word *words;
	struct vas_layout *layout;
	size_t nr;
	int err = vas_layout_begin(vas, &layout);

	if (err)
		goto err_end;
	err = add_regions(layout, lazy->chain.images);
	words = err ? NULL : list_words(lazy, &nr);
	if (!words) {
		vas_layout_abort(layout);
		err = err ? err : -ENOMEM;
		goto err_end;
	}
	err = vas_layout_commit_lazy(layout, &lazy->source, words, nr, flags);
	free(words);
	return err;

err_end:
	end(&lazy->source);
	return err;
}

int restore_lazily(const char *path, uint32_t lazy_flags, uint32_t chain_flags, struct vas **out)
{
	struct lazy *lazy = calloc(1, sizeof(*lazy));
	struct vas *vas;
	int err;

	if (!lazy)
		return vas_error_set(-ENOMEM, "no memory to restore with");
	lazy->source = (struct vas_source){ fetch, end };
	err = chain_open(&lazy->chain, path, chain_flags);
	if (err) {
		free(lazy);
		return err;
	}
	err = check_backings(lazy->chain.images[0].layout);
	if (!err)
		err = restore_create(lazy->chain.images, &vas);
	if (err) {
		end(&lazy->source);
		return err;
	}
	err = commit(lazy, vas, lazy_flags);
	if (err)
		vas_destroy(vas);
	else
		*out = vas;
	return err;
}
