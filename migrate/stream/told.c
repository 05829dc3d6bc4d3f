// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The rounds of a guest whose VMM tells what it writes: the VMM goes over its memory again and
 * again, and decides itself when it stops the guest. What it tells, and what others mark, goes to
 * the channels at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <vas/consumer.h>

#include "migrate/stream/migration.h"

#define BATCH 1024u

static uint64_t nr_pages(const struct migration *m)
{
	uint64_t nr = 0;
	size_t i;

	for (i = 0; i < m->nr_regions; i++)
		nr += m->regions[i].size / VAS_PAGE_SIZE;
	return nr;
}

/* ---- to the channels ---------------------------------------------------------------------- */

static int push(struct migration *m, const struct vas_dirty_word *word)
{
	int err;

	do {
		err = show_progress(m);
		if (!err)
			err = feed_push(&m->sender, word);
	} while (err == -EAGAIN);
	/* Of the first round it is known before. */
	if (!err && m->sender.round)
		m->pages += (uint64_t)__builtin_popcountll(word->bits);
	return err;
}

/* So that little of what others mark is left for the time when all stand. */
static int push_marked(struct migration *m)
{
	const uint64_t pages = m->pages;
	int err = collect(m);
	size_t i;

	m->pages = pages;
	for (i = 0; !err && i < m->sender.nr_words; i++)
		err = push(m, &m->sender.words[i]);
	/* What is written until it is copied is marked anew. */
	return err ? err : vas_tracker_commit(m->dirty);
}

/* ---- what is told ------------------------------------------------------------------------- */

static int check_word(struct migration *m, const struct vas_dirty_word *word)
{
	const uint64_t most = (m->sender.options.max_rounds + 1ull) * (nr_pages(m) + 1);
	const uint64_t nr = (uint64_t)__builtin_popcountll(word->bits);

	if (word->gpa % STREAM_WORD_SIZE)
		return vas_error_set(-EINVAL, "no word begins at gpa %#llx",
				     (unsigned long long)word->gpa);
	/* An empty word counts too: somebody may tell of nothing for ever. */
	m->nr_told += nr ? nr : 1;
	if (m->nr_told > most)
		return vas_error_set(-EOVERFLOW,
				     "the guest writes faster than it is sent: there is no end of "
				     "pages");
	return 0;
}

/* Where it comes back to what it has told, another round begins. */
static int turn(struct migration *m, uint64_t gpa)
{
	struct sender *s = &m->sender;
	const uint64_t before = m->last_gpa;
	int err;

	m->last_gpa = gpa;
	if (gpa >= before)
		return 0;
	err = tell_progress(m);
	m->shown_ns = m->round_ns = monotonic_ns();
	m->sent_before = __atomic_load_n(&s->pages_sent, __ATOMIC_RELAXED);
	m->pages = 0;
	__atomic_store_n(&s->round, s->round + 1, __ATOMIC_RELAXED);
	return err;
}

/* A page that is told while all stand is as it is sent. */
static void note_told(struct migration *m, const struct vas_dirty_word *word)
{
	if (m->sender.sums)
		sums_suspect(m->sender.sums, word, !m->paused);
}

static void ask_if_sure(struct migration *m)
{
	const struct vas_migrate_options *options = &m->sender.options;

	if (!m->sender.sums || m->paused || !options->ops->is_sure)
		return;
	switch (options->ops->is_sure(options->arg)) {
	case VAS_MIGRATE_ASKS:
		sums_set_apart(m->sender.sums);
		break;
	case VAS_MIGRATE_SURE:
		sums_trust_apart(m->sender.sums);
		break;
	default:
		break;
	}
}

static int push_told(struct migration *m, const struct vas_dirty_word *words, size_t nr)
{
	int err = 0;
	size_t i;

	for (i = 0; !err && i < nr; i++) {
		err = check_word(m, &words[i]);
		if (!err)
			err = turn(m, words[i].gpa);
		if (!err)
			err = push(m, &words[i]);
		if (!err)
			note_told(m, &words[i]);
	}
	if (!err)
		ask_if_sure(m);
	return err;
}

/* Until told() returns 0. */
static int feed(struct migration *m)
{
	const struct vas_migrate_options *options = &m->sender.options;
	struct vas_dirty_word words[BATCH];
	size_t since = 0;
	ssize_t nr;
	int err = 0;

	while (!err && (nr = options->ops->told(options->arg, words, BATCH))) {
		if (nr < 0)
			return (int)nr;
		if (nr > (ssize_t)BATCH)
			return vas_error_set(-EINVAL, "told() tells of more than it has room for");
		err = push_told(m, words, (size_t)nr);
		since += (size_t)nr;
		if (err || since < BATCH || m->frozen)
			continue;
		err = push_marked(m);
		since = 0;
	}
	return err;
}

static int feed_channels(struct migration *m)
{
	int err;

	m->last_gpa = 0;
	feed_set(&m->sender, 1);
	err = begin_round(m);
	if (!err)
		err = feed(m);
	feed_end(&m->sender);
	/* Why a channel has ended is what counts. */
	err = end_round(m, err == -EPIPE ? 0 : err);
	feed_set(&m->sender, 0);
	return err;
}

/* ---- all stand ---------------------------------------------------------------------------- */

static int send_rest(struct migration *m)
{
	int err = collect(m);

	if (!err)
		err = send_round(m);
	return err || !m->sender.sums ? err : send_unmarked(m);
}

int migration_told(struct migration *m)
{
	int err = 0;

	if (m->sender.options.flags & VAS_MIGRATE_COMPARE_TOLD) {
		err = sums_init(&m->sums, m->regions, m->nr_regions);
		m->sender.sums = &m->sums;
	}
	m->pages = nr_pages(m);
	if (!err)
		err = feed_channels(m);
	if (!err)
		err = stop_writers(m);
	if (!err)
		err = feed_channels(m);
	return err ? err : send_rest(m);
}
