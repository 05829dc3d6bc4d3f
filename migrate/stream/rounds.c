// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The rounds of a migration, and the stop before the last. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vas/consumer.h>

#include "lib/base/spawn.h"
#include "migrate/stream/migration.h"

#define BATCH 4096u

/* ---- a round ------------------------------------------------------------------------------ */

/* In s->words until the epoch is committed or aborted. */
int collect(struct migration *m)
{
	struct sender *s = &m->sender;
	struct vas_info info;
	uint64_t gpa = 0;
	int err = vas_info(s->vas, &info);

	m->pages = 0;
	if (!err)
		err = vas_tracker_begin(m->dirty);
	while (!err && gpa < info.limit) {
		const struct vas_dirty_word *words;
		ssize_t i, nr = vas_tracker_harvest(m->dirty, &gpa, info.limit, BATCH, &words);

		for (i = 0; i < nr; i++)
			m->pages += (uint64_t)__builtin_popcountll(words[i].bits);
		err = nr < 0 ? (int)nr : 0;
	}
	s->nr_words = vas_tracker_harvested(m->dirty, &s->words);
	return err;
}

void fill_progress(struct migration *m, struct vas_migrate_progress *progress)
{
	struct sender *s = &m->sender;
	uint64_t now = monotonic_ns(), round_ns = now - m->round_ns + 1, done;

	*progress = (struct vas_migrate_progress){
		.round = s->round,
		.frozen = m->frozen,
		.pages_sent = __atomic_load_n(&s->pages_sent, __ATOMIC_RELAXED),
		.pages_zero = __atomic_load_n(&s->pages_zero, __ATOMIC_RELAXED),
		.bytes_sent = __atomic_load_n(&s->bytes_sent, __ATOMIC_RELAXED),
		.elapsed_ns = now - m->begun_ns,
	};
	done = progress->pages_sent - m->sent_before;
	progress->pages_left = m->pages > done ? m->pages - done : 0;
	progress->rate = (uint64_t)((double)done * VAS_PAGE_SIZE * 1e9 / (double)round_ns);
	if (progress->rate)
		progress->left_ns = (uint64_t)((double)progress->pages_left * VAS_PAGE_SIZE * 1e9 /
					       (double)progress->rate);
}

int tell_progress(struct migration *m)
{
	const struct vas_migrate_options *options = &m->sender.options;
	struct vas_migrate_progress progress;

	fill_progress(m, &progress);
	m->rate = progress.rate;
	if (!options->ops->progress || !options->ops->progress(options->arg, &progress))
		return 0;
	return vas_error_set(-ECANCELED, "canceled");
}

int show_progress(struct migration *m)
{
	const uint64_t now = monotonic_ns();
	int err = 0;
	uint32_t i;

	if (now - m->shown_ns < PROGRESS_NS)
		return 0;
	m->shown_ns = now;
	for (i = 0; !err && !m->sender.is_fed && i < m->sender.nr_channels; i++)
		err = channel_show_life(&m->sender.channels[i]);
	return err ? err : tell_progress(m);
}

/* Until all channels have ended; the caller's progress() is called meanwhile. err: end them. */
static int wait_for_channels(struct migration *m, int err)
{
	struct sender *s = &m->sender;

	if (err)
		__atomic_store_n(&s->group.cancel, true, __ATOMIC_RELAXED);
	pthread_mutex_lock(&s->lock);
	while (s->nr_running) {
		uint64_t until_ns = monotonic_ns() + PROGRESS_NS;
		struct timespec until = { (time_t)(until_ns / 1000000000ull),
					  (long)(until_ns % 1000000000ull) };

		if (pthread_cond_timedwait(&s->ended, &s->lock, &until) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&s->lock);
		if (!err)
			err = tell_progress(m);
		if (err)
			__atomic_store_n(&s->group.cancel, true, __ATOMIC_RELAXED);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

static int start_channels(struct migration *m)
{
	struct sender *s = &m->sender;
	int err = 0;

	s->nr_running = s->nr_channels;
	for (m->nr_started = 0; !err && m->nr_started < s->nr_channels; ++m->nr_started) {
		struct channel *c = &s->channels[m->nr_started];

		c->err = 0;
		err = vas_spawn(&c->thread, channel_run, c);
		if (err)
			break;
	}
	pthread_mutex_lock(&s->lock);
	s->nr_running -= s->nr_channels - m->nr_started;
	pthread_mutex_unlock(&s->lock);
	return err ? vas_error_set(err, "no thread for a channel: %s", strerror(-err)) : 0;
}

/* The error of the channel that failed first counts, not that others were canceled for it. */
static int channels_error(struct sender *s, uint32_t nr)
{
	int err = 0;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		const struct channel *c = &s->channels[i];

		if (c->err && (!err || err == -ECANCELED))
			err = vas_error_set(c->err, "%s", c->error);
	}
	return err;
}

int begin_round(struct migration *m)
{
	struct sender *s = &m->sender;

	m->round_ns = s->start_ns = monotonic_ns();
	m->sent_before = s->pages_sent;
	s->start_bytes = s->bytes_sent;
	return start_channels(m);
}

int end_round(struct migration *m, int err)
{
	struct sender *s = &m->sender;
	uint32_t i;

	err = wait_for_channels(m, err);

	for (i = 0; i < m->nr_started; i++)
		pthread_join(s->channels[i].thread, NULL);
	if (!err)
		err = channels_error(s, m->nr_started);
	if (!err)
		err = tell_progress(m);
	m->pages = 0;
	s->round++;
	return err;
}

int send_round(struct migration *m)
{
	int err = end_round(m, begin_round(m));

	return err ? err : vas_tracker_commit(m->dirty);
}

/* ---- the last round ----------------------------------------------------------------------- */

int stop_writers(struct migration *m)
{
	const struct vas_migrate_options *options = &m->sender.options;
	int err = 0;

	m->sender.group.limit = deadline_in(options->max_downtime_ns);
	if (options->ops->pause)
		err = options->ops->pause(options->arg);
	if (err)
		return err;
	m->paused = true;
	err = vas_freeze(m->sender.vas, options->freeze_ns, NULL);
	m->frozen = !err;
	m->sender.stopped = !err || err == -EALREADY;
	return m->sender.stopped ? 0 : err;
}

void let_writers_go(struct migration *m)
{
	const struct vas_migrate_options *options = &m->sender.options;

	if (m->frozen)
		vas_thaw(m->sender.vas);
	if (m->paused && options->ops->resume)
		options->ops->resume(options->arg);
}

static bool is_little(const struct migration *m)
{
	const struct vas_migrate_options *options = &m->sender.options;

	if (!m->pages || m->sender.round >= options->max_rounds)
		return true;
	return (double)m->pages * VAS_PAGE_SIZE * 1e9 <=
	       (double)options->downtime_ns * (double)m->rate;
}

/* All in one list: a page that is written until the stop is sent once. */
static int stop_and_collect(struct migration *m)
{
	int err = vas_tracker_abort(m->dirty);

	if (!err)
		err = stop_writers(m);
	return err ? err : collect(m);
}

int migration_rounds(struct migration *m)
{
	bool last = m->sender.options.flags & VAS_MIGRATE_STOP_FIRST;
	int err = last ? stop_writers(m) : 0;

	while (!err) {
		err = collect(m);
		if (!err && !last && m->sender.round && is_little(m)) {
			last = true;
			err = stop_and_collect(m);
		}
		if (!err)
			err = send_round(m);
		if (last)
			break;
	}
	return err;
}
