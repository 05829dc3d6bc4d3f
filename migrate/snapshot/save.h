/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A snapshot that is being written. */
#ifndef MIGRATE_SAVE_H
#define MIGRATE_SAVE_H

#include <stdbool.h>
#include <vas/dirty.h>
#include <vas/migrate.h>

#include "migrate/base/atomic_file.h"
#include "migrate/snapshot/chain.h"
#include "migrate/snapshot/live.h"

struct save {
	struct vas *vas;
	const struct vas_snapshot_options *options;
	struct vas_info info;
	struct vas_tracker *dirty;
	bool compares;	     /* with the parent: nobody has tracked since then */
	struct chain parent; /* nr 0: none */
	struct atomic_file file;
	struct snapshot_header header;
	struct live live; /* with options->told */
	struct vas_region *regions;
	size_t nr_regions;
	struct snapshot_word *words;
	size_t room;
	void *devices; /* as they were while all stood */
	char *raw;
	char *before; /* the parent's pages of a word */
	char *saved;  /* the file's pages of a word */
	uint64_t key;
};

/* Write the pages of a word that belong in this snapshot, and note them down. */
int save_word(struct save *save, const struct vas_dirty_word *word);

/* Its two halves: which of its pages belong there, with their bytes in raw; and the rest. */
struct pages;
int save_look(struct save *save, const struct vas_dirty_word *word, struct pages *pages);
int save_looked(struct save *save, const struct vas_dirty_word *word, const struct pages *pages);

/* The region that holds gpa, and where its byte is in the file; or NULL. */
const struct vas_region *save_region(const struct save *save, uint64_t gpa, uint64_t *offset);

#endif
