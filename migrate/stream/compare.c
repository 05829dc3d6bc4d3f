// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * All stand: which pages are other than they were sent, though nobody has told so. It reads all
 * that may be, while the guest waits for it, so each processor does a part.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vas/consumer.h>

#include "lib/base/spawn.h"
#include "migrate/stream/migration.h"

#define STEP	    16u /* words that one looks at in one go: 4 MiB */
#define MAX_HELPERS 7

struct comparison {
	struct sender *sender;
	struct vas_dirty_word *words; /* in the end, with the pages that are other */
	size_t nr;
	size_t next;  /* atomic: up to here somebody looks, or has */
	bool is_over; /* atomic: somebody has failed */
};

struct helper {
	struct comparison *comparison;
	pthread_t thread;
	int err;
	char error[256]; /* the thread's vas_error() */
};

static int compare_word(struct sender *s, char *raw, struct vas_dirty_word *word)
{
	struct pages_segments segments;
	struct pages pages;
	int err = 0;

	if (!pages_find(s->vas, word, &pages, &segments)) {
		err = pages_read(s->vas, word, raw, &pages);
		segments.iov[0] = (struct iovec){ raw, pages.size };
	}
	if (!err)
		word->bits = sums_note(s->sums, word->gpa, &pages, segments.iov);
	return err;
}

/* 1: there is more. */
static int compare_some(struct comparison *c, char *raw)
{
	const size_t first = __atomic_fetch_add(&c->next, STEP, __ATOMIC_RELAXED);
	int err = 0;

	if (first >= c->nr || __atomic_load_n(&c->is_over, __ATOMIC_RELAXED))
		return 0;
	for (size_t i = first; !err && i < c->nr && i - first < STEP; i++)
		err = compare_word(c->sender, raw, &c->words[i]);
	if (err)
		__atomic_store_n(&c->is_over, true, __ATOMIC_RELAXED);
	return err ? err : 1;
}

/* show: the caller's own thread, which tells him and the destination that it goes on. */
static int compare_all(struct comparison *c, struct migration *shown)
{
	char *raw = aligned_alloc(VAS_PAGE_SIZE, STREAM_WORD_SIZE);
	int more = 1, err = 0;

	if (!raw)
		return vas_error_set(-ENOMEM, "no memory for buffers");
	while (!err && (more = compare_some(c, raw)) > 0)
		err = shown ? show_progress(shown) : 0;
	free(raw);
	return err ? err : more;
}

static void *help(void *arg)
{
	struct helper *h = arg;

	h->err = compare_all(h->comparison, NULL);
	if (h->err)
		strncpy(h->error, vas_error(), sizeof(h->error) - 1);
	return NULL;
}

/* Those that cannot be had are not needed either. */
static int get_helpers(struct comparison *c, struct helper helpers[MAX_HELPERS])
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int nr = 0;

	while (nr < MAX_HELPERS && nr + 1 < cpus) {
		helpers[nr] = (struct helper){ .comparison = c };
		if (vas_spawn(&helpers[nr].thread, help, &helpers[nr]))
			break;
		nr++;
	}
	return nr;
}

static int compare(struct migration *m, struct comparison *c)
{
	struct helper helpers[MAX_HELPERS];
	const int nr = get_helpers(c, helpers);
	int err = compare_all(c, m);

	if (err)
		__atomic_store_n(&c->is_over, true, __ATOMIC_RELAXED);
	for (int i = 0; i < nr; i++) {
		pthread_join(helpers[i].thread, NULL);
		if (!err && helpers[i].err)
			err = vas_error_set(helpers[i].err, "%s", helpers[i].error);
	}
	return err;
}

static size_t drop_empty(struct vas_dirty_word *words, size_t nr)
{
	size_t left = 0;

	for (size_t i = 0; i < nr; i++)
		if (words[i].bits)
			words[left++] = words[i];
	return left;
}

int send_unmarked(struct migration *m)
{
	struct sender *s = &m->sender;
	struct comparison c = { .sender = s };
	int err = sums_suspects(s->sums, &c.words, &c.nr);

	if (err)
		return err;
	err = compare(m, &c);
	if (!err) {
		s->words = c.words;
		s->nr_words = drop_empty(c.words, c.nr);
		err = end_round(m, begin_round(m));
	}
	s->words = NULL;
	s->nr_words = 0;
	free(c.words);
	return err;
}
