// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Rounds: what was touched, then what was written meanwhile, until little is left; freeze; the rest. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <vas/consumer.h>
#include <vas/dirty.h>

#include "migrate/layout.h"
#include "migrate/sender.h"

#define DOWNTIME_NS  300000000ull
#define STALL_NS     30000000000ull
#define MAX_ROUNDS   30u
#define BATCH	     4096u
#define PROGRESS_NS  100000000ull
#define FLAGS_KNOWN  (VAS_MIGRATE_LZ4 | VAS_MIGRATE_ZSTD | VAS_MIGRATE_STILL | VAS_MIGRATE_ONE_WAY)

struct migration {
	struct sender sender;
	struct wire back; /* channel 0, the other way */
	struct vas_dirty *dirty;
	struct vas_region *regions; /* as they were at the start, and must be at the end */
	size_t nr_regions;
	struct vas_dirty_word *words;
	size_t nr_words;
	size_t room;
	uint64_t pages; /* in words */
	uint64_t rate;	/* of the last round, bytes of memory a second */
	uint64_t begun_ns;
	bool paused;
	bool frozen; /* by us */
};

static const struct vas_migrate_ops no_ops;

/* ---- layout ------------------------------------------------------------------------------- */

static int check_unchanged(struct migration *m)
{
	struct vas_region *now = NULL;
	size_t nr = 0;
	int err = layout_take(m->sender.vas, &now, &nr);

	if (!err && (nr != m->nr_regions || memcmp(now, m->regions, nr * sizeof(*now))))
		err = vas_fail(-ESTALE, "the layout changed during the migration");
	free(now);
	return err;
}

static int send_hellos(struct migration *m)
{
	struct sender *s = &m->sender;
	int err = 0;
	uint32_t i;

	for (i = 0; !err && i < s->nr_channels; i++) {
		struct stream_header header = { .type = STREAM_HELLO,
						.length = sizeof(struct stream_hello) };
		struct stream_hello hello = {
			.version = STREAM_VERSION,
			.channel = i,
			.nr_channels = s->nr_channels,
			.flags = s->options.flags & VAS_MIGRATE_ONE_WAY ? STREAM_ONE_WAY : 0,
		};

		memcpy(hello.session, s->session, sizeof(hello.session));
		err = wire_send(&s->channels[i].wire, &header, &hello);
	}
	return err;
}

static int send_layout(struct migration *m)
{
	struct stream_header header = { .type = STREAM_LAYOUT };
	struct stream_layout *layout;
	int err = layout_describe(m->sender.vas, m->regions, m->nr_regions, &layout);

	if (err)
		return err;
	header.length = (uint32_t)layout_size(layout);
	err = wire_send(&m->sender.channels[0].wire, &header, layout);
	free(layout);
	return err;
}

/* ---- a round ------------------------------------------------------------------------------ */

static int make_room(struct migration *m)
{
	struct vas_dirty_word *words;
	size_t room = m->room ? m->room * 2 : BATCH;

	if (m->room - m->nr_words >= BATCH)
		return 0;
	words = realloc(m->words, room * sizeof(*words));
	if (!words)
		return vas_fail(-ENOMEM, "no memory for a list of dirty pages");
	m->words = words;
	m->room = room;
	return 0;
}

/* One epoch, added to what is to be sent. It counts as dealt with: a failure ends the migration. */
static int collect(struct migration *m)
{
	uint64_t gpa = 0, end = UINT64_MAX;
	struct vas_info info;
	int err = vas_info(m->sender.vas, &info);

	if (!err)
		err = vas_dirty_begin(m->dirty);
	if (err)
		return err;
	for (end = info.limit; !err && gpa < end;) {
		ssize_t nr, i;

		err = make_room(m);
		if (err)
			break;
		nr = vas_dirty_harvest(m->dirty, &gpa, end, m->words + m->nr_words, BATCH);
		for (i = 0; i < nr; i++)
			m->pages += (uint64_t)__builtin_popcountll(m->words[m->nr_words++].bits);
		err = nr < 0 ? (int)nr : 0;
	}
	vas_dirty_commit(m->dirty);
	return err;
}

static void fill_progress(struct migration *m, uint64_t sent_before,
			  struct vas_migrate_progress *progress)
{
	struct sender *s = &m->sender;
	uint64_t now = sender_now_ns(), round_ns = now - s->start_ns + 1, done;

	*progress = (struct vas_migrate_progress){
		.round = s->round,
		.frozen = m->frozen,
		.pages_sent = __atomic_load_n(&s->pages_sent, __ATOMIC_RELAXED),
		.pages_zero = __atomic_load_n(&s->pages_zero, __ATOMIC_RELAXED),
		.bytes_sent = __atomic_load_n(&s->bytes_sent, __ATOMIC_RELAXED),
		.elapsed_ns = now - m->begun_ns,
	};
	done = progress->pages_sent - sent_before;
	progress->pages_left = m->pages > done ? m->pages - done : 0;
	progress->rate = (uint64_t)((double)done * VAS_PAGE_SIZE * 1e9 / (double)round_ns);
	if (progress->rate)
		progress->left_ns = (uint64_t)((double)progress->pages_left * VAS_PAGE_SIZE * 1e9 /
					       (double)progress->rate);
}

static int tell(struct migration *m, uint64_t sent_before)
{
	const struct vas_migrate_options *options = &m->sender.options;
	struct vas_migrate_progress progress;

	fill_progress(m, sent_before, &progress);
	m->rate = progress.rate;
	if (!options->ops->progress || !options->ops->progress(options->arg, &progress))
		return 0;
	return vas_fail(-ECANCELED, "canceled");
}

/* Until all channels have ended; the caller hears of it meanwhile. */
static int wait_for_channels(struct migration *m, uint64_t sent_before)
{
	struct sender *s = &m->sender;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	while (s->nr_running) {
		uint64_t until_ns = sender_now_ns() + PROGRESS_NS;
		struct timespec until = { (time_t)(until_ns / 1000000000ull),
					  (long)(until_ns % 1000000000ull) };

		if (pthread_cond_timedwait(&s->ended, &s->lock, &until) != ETIMEDOUT)
			continue;
		pthread_mutex_unlock(&s->lock);
		if (!err)
			err = tell(m, sent_before);
		if (err)
			__atomic_store_n(&s->cancel, true, __ATOMIC_RELAXED);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

static int start_channels(struct sender *s, uint32_t *started)
{
	int err = 0;

	s->nr_running = s->nr_channels;
	for (*started = 0; !err && *started < s->nr_channels; ++*started) {
		struct channel *c = &s->channels[*started];

		c->err = 0;
		err = -pthread_create(&c->thread, NULL, channel_run, c);
		if (err)
			break;
	}
	pthread_mutex_lock(&s->lock);
	s->nr_running -= s->nr_channels - *started;
	pthread_mutex_unlock(&s->lock);
	if (err)
		__atomic_store_n(&s->cancel, true, __ATOMIC_RELAXED);
	return err ? vas_fail(err, "no thread for a channel: %s", strerror(-err)) : 0;
}

/* The error of the channel that failed first counts, not that others were canceled for it. */
static int channels_error(struct sender *s, uint32_t nr)
{
	int err = 0;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		const struct channel *c = &s->channels[i];

		if (c->err && (!err || err == -ECANCELED))
			err = vas_fail(c->err, "%s", c->error);
	}
	return err;
}

static int send_round(struct migration *m)
{
	struct sender *s = &m->sender;
	uint64_t before = s->pages_sent;
	uint32_t started, i;
	int err, told;

	s->words = m->words;
	s->nr_words = m->nr_words;
	s->start_ns = sender_now_ns();
	s->start_bytes = s->bytes_sent;
	err = start_channels(s, &started);
	told = wait_for_channels(m, before);
	for (i = 0; i < started; i++)
		pthread_join(s->channels[i].thread, NULL);
	if (!err)
		err = told;
	if (!err)
		err = channels_error(s, started);
	if (!err)
		err = tell(m, before);
	m->nr_words = 0;
	m->pages = 0;
	s->round++;
	return err;
}

/* ---- the last round ----------------------------------------------------------------------- */

static int stop_writers(struct migration *m)
{
	const struct vas_migrate_options *options = &m->sender.options;
	int err = 0;

	if (options->ops->pause)
		err = options->ops->pause(options->arg);
	if (err)
		return err;
	m->paused = true;
	err = vas_freeze(m->sender.vas, options->freeze_ns, NULL);
	m->frozen = !err;
	m->sender.still = !err || err == -EALREADY;
	return m->sender.still ? 0 : err;
}

static void let_writers_go(struct migration *m)
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

static int send_rounds(struct migration *m)
{
	bool last = m->sender.options.flags & VAS_MIGRATE_STILL;
	int err = last ? stop_writers(m) : 0;

	while (!err) {
		err = collect(m);
		if (!err && !last && m->sender.round && is_little(m)) {
			last = true;
			err = stop_writers(m);
			if (!err)
				err = collect(m);
		}
		if (!err)
			err = send_round(m);
		if (last)
			break;
	}
	return err;
}

static int send_state(struct migration *m)
{
	const struct vas_migrate_options *options = &m->sender.options;
	struct stream_header header = { .type = STREAM_STATE };
	void *state = NULL;
	size_t size = 0;
	int err = 0;

	if (options->ops->save)
		err = options->ops->save(options->arg, &state, &size);
	if (!err && size > STREAM_MAX_STATE)
		err = vas_fail(-EFBIG, "a state of %zu bytes is too large", size);
	header.length = (uint32_t)size;
	if (!err)
		err = wire_send(&m->sender.channels[0].wire, &header, state);
	free(state);
	return err;
}

static int send_ends(struct migration *m)
{
	struct sender *s = &m->sender;
	int err = 0;
	uint32_t i;

	for (i = 0; !err && i < s->nr_channels; i++) {
		struct channel *c = &s->channels[i];
		struct stream_header header = { .type = STREAM_END, .round = s->round,
						.gpa = c->wire.sequence, .data = c->pages };

		err = wire_send(&c->wire, &header, NULL);
	}
	return err;
}

/* The most signs of life that an honest destination gives. */
static uint64_t nr_pieces(const struct migration *m)
{
	uint64_t nr = 0;
	size_t i;

	for (i = 0; i < m->nr_regions; i++)
		nr += (m->regions[i].size + STREAM_PIECE - 1) / STREAM_PIECE;
	return nr;
}

/* The destination has made the memory, populated if it wants that; it may also refuse, and be gone. */
static int wait_for_ready(struct migration *m)
{
	struct stream_header header;
	uint64_t left = nr_pieces(m);
	int err;

	if (m->sender.options.flags & VAS_MIGRATE_ONE_WAY)
		return 0;
	m->back = m->sender.channels[0].wire;
	m->back.sequence = 0;
	wire_set_key(&m->back, m->sender.session, 0, true);
	do
		err = wire_recv_header(&m->back, &header);
	while (!err && header.type == STREAM_WAIT && left--);
	if (!err && header.type != STREAM_READY)
		err = vas_fail(-EPROTO, "the destination does not say that it is ready");
	return err;
}

/*
 * DONE decides: once the destination has written it, it may run. A sender that waits no longer says so
 * and shuts the socket, then looks once more: what had been written by then is there to be read.
 */
static int wait_for_done(struct migration *m)
{
	struct wire *wire = &m->sender.channels[0].wire;
	struct stream_header header = { .type = STREAM_ABORT };
	int err;

	if (m->sender.options.flags & VAS_MIGRATE_ONE_WAY)
		return 0;
	m->back.cancel = NULL;
	err = wire_recv_header(&m->back, &header);
	if (err == -ETIMEDOUT) {
		struct stream_header give_up = { .type = STREAM_ABORT };

		wire_send(wire, &give_up, NULL);
		wire_shut(wire);
		err = wire_recv_header(&m->back, &header);
	}
	if (!err && header.type != STREAM_DONE)
		err = vas_fail(-EPROTO, "the destination does not say that it is done");
	return err;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int check_options(const struct vas_migrate_options *options)
{
	if (!options->nr_fds || options->nr_fds > VAS_MIGRATE_MAX_CHANNELS)
		return vas_fail(-EINVAL, "a stream has 1 to %u channels", VAS_MIGRATE_MAX_CHANNELS);
	if (options->flags & ~FLAGS_KNOWN ||
	    (options->flags & VAS_MIGRATE_LZ4 && options->flags & VAS_MIGRATE_ZSTD))
		return vas_fail(-EINVAL, "flags %#x: unknown, or two kinds of packing", options->flags);
	return 0;
}

static void fill_defaults(struct vas_migrate_options *options)
{
	if (!options->downtime_ns)
		options->downtime_ns = DOWNTIME_NS;
	if (!options->freeze_ns)
		options->freeze_ns = VAS_TIMEOUT_DEFAULT_NS;
	if (!options->stall_ns)
		options->stall_ns = STALL_NS;
	if (!options->max_rounds)
		options->max_rounds = MAX_ROUNDS;
	if (!options->ops)
		options->ops = &no_ops;
}

static int migration_init(struct migration *m, struct vas *vas,
			  const struct vas_migrate_options *options)
{
	struct sender *s = &m->sender;
	pthread_condattr_t attr;
	int err = 0;

	s->vas = vas;
	s->options = *options;
	fill_defaults(&s->options);
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->ended, &attr);
	pthread_condattr_destroy(&attr);
	if (getrandom(s->session, sizeof(s->session), 0) != sizeof(s->session))
		return vas_fail(-EIO, "no random bytes for the session");
	for (; !err && s->nr_channels < options->nr_fds; s->nr_channels++)
		err = channel_init(&s->channels[s->nr_channels], s, s->nr_channels);
	m->begun_ns = s->start_ns = sender_now_ns();
	return err;
}

static void migration_clean(struct migration *m)
{
	uint32_t i;

	vas_dirty_detach(m->dirty);
	for (i = 0; i < m->sender.nr_channels; i++)
		channel_clean(&m->sender.channels[i]);
	pthread_cond_destroy(&m->sender.ended);
	pthread_mutex_destroy(&m->sender.lock);
	free(m->regions);
	free(m->words);
	free(m);
}

static int migrate(struct migration *m)
{
	int err = layout_take(m->sender.vas, &m->regions, &m->nr_regions);

	if (!err)
		err = vas_dirty_attach(m->sender.vas, "migration", VAS_DIRTY_ALL, &m->dirty);
	if (!err)
		err = send_hellos(m);
	if (!err)
		err = send_layout(m);
	if (!err)
		err = wait_for_ready(m);
	if (!err)
		err = send_rounds(m);
	if (!err)
		err = check_unchanged(m);
	if (!err)
		err = send_state(m);
	if (!err)
		err = send_ends(m);
	return err ? err : wait_for_done(m);
}

int vas_migrate_send(struct vas *vas, const struct vas_migrate_options *options,
		     struct vas_migrate_progress *report)
{
	struct migration *m;
	uint32_t i;
	int err = check_options(options);

	if (err)
		return err;
	m = calloc(1, sizeof(*m));
	if (!m)
		return vas_fail(-ENOMEM, "no memory for a migration");
	err = migration_init(m, vas, options);
	if (!err)
		err = migrate(m);
	if (report)
		fill_progress(m, m->sender.pages_sent, report);
	if (err) {
		for (i = 0; i < m->sender.nr_channels; i++)
			wire_shut(&m->sender.channels[i].wire);
		let_writers_go(m);
	}
	migration_clean(m);
	return err;
}
