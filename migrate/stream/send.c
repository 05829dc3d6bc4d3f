// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* vas_migrate_send(): the whole of a migration, at its source. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <vas/consumer.h>

#include "migrate/base/layout.h"
#include "migrate/stream/migration.h"

#define DOWNTIME_NS	300000000ull
#define MAX_DOWNTIME_NS (30 * NSEC_PER_SEC)
#define MAX_ROUNDS	30u
#define FLAGS_KNOWN                                                                          \
	(VAS_MIGRATE_LZ4 | VAS_MIGRATE_ZSTD | VAS_MIGRATE_STOP_FIRST | VAS_MIGRATE_ONE_WAY | \
	 VAS_MIGRATE_COMPARE_TOLD)

static const struct vas_migrate_ops no_ops;

static int check_unchanged(struct migration *m)
{
	struct vas_region *now = NULL;
	size_t nr = 0;
	int err = layout_take(m->sender.vas, &now, &nr);

	if (!err && (nr != m->nr_regions || memcmp(now, m->regions, nr * sizeof(*now))))
		err = vas_error_set(-ESTALE, "the layout changed during the migration");
	free(now);
	return err;
}

static int check_told(const struct vas_migrate_options *options)
{
	const bool told = options->ops && options->ops->told;

	if (told && options->flags & VAS_MIGRATE_STOP_FIRST)
		return vas_error_set(-EINVAL, "told() is for a guest that runs");
	if (!told && options->flags & VAS_MIGRATE_COMPARE_TOLD)
		return vas_error_set(-EINVAL, "there is no told() to compare with");
	return 0;
}

static int check_options(const struct vas_migrate_options *options)
{
	if (!options->nr_fds || options->nr_fds > VAS_MIGRATE_MAX_CHANNELS)
		return vas_error_set(-EINVAL, "nr_fds is %u, but a stream has 1 to %u channels",
				     options->nr_fds, VAS_MIGRATE_MAX_CHANNELS);
	if (options->flags & ~FLAGS_KNOWN)
		return vas_error_set(-EINVAL, "unknown flags %#x", options->flags & ~FLAGS_KNOWN);
	if (options->flags & VAS_MIGRATE_LZ4 && options->flags & VAS_MIGRATE_ZSTD)
		return vas_error_set(-EINVAL,
				     "VAS_MIGRATE_LZ4 and VAS_MIGRATE_ZSTD exclude each other");
	return check_told(options);
}

static void fill_defaults(struct vas_migrate_options *options)
{
	if (!options->downtime_ns)
		options->downtime_ns = DOWNTIME_NS;
	if (!options->freeze_ns)
		options->freeze_ns = VAS_TIMEOUT_DEFAULT_NS;
	if (!options->max_downtime_ns)
		options->max_downtime_ns =
			options->flags & VAS_MIGRATE_STOP_FIRST ? UINT64_MAX : MAX_DOWNTIME_NS;
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
	s->group.limit.at_ns = UINT64_MAX;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->ended, &attr);
	pthread_cond_init(&s->fed, &attr);
	pthread_condattr_destroy(&attr);
	if (getrandom(s->session, sizeof(s->session), 0) != sizeof(s->session))
		return vas_error_set(-EIO, "no random bytes for the session");
	for (; !err && s->nr_channels < options->nr_fds; s->nr_channels++)
		err = channel_init(&s->channels[s->nr_channels], s, s->nr_channels);
	m->begun_ns = m->round_ns = monotonic_ns();
	return err;
}

static void migration_clean(struct migration *m)
{
	uint32_t i;

	vas_tracker_detach(m->dirty);
	for (i = 0; i < m->sender.nr_channels; i++)
		channel_clean(&m->sender.channels[i]);
	pthread_cond_destroy(&m->sender.ended);
	pthread_cond_destroy(&m->sender.fed);
	pthread_mutex_destroy(&m->sender.lock);
	sums_clean(&m->sums);
	free(m->regions);
	free(m);
}

static int migrate(struct migration *m)
{
	const bool told = m->sender.options.ops->told != NULL;
	const uint32_t flags = told ? 0 : VAS_TRACKER_ALL;
	int err = layout_take(m->sender.vas, &m->regions, &m->nr_regions);

	if (!err)
		err = vas_freeze_check(m->sender.vas, NULL);
	if (!err)
		err = vas_tracker_attach(m->sender.vas, "migration", flags, &m->dirty);
	if (!err)
		err = send_hellos(m);
	if (!err)
		err = send_layout(m);
	if (!err)
		err = send_description(m);
	if (!err)
		err = wait_for_ready(m);
	if (!err)
		err = told ? migration_told(m) : migration_rounds(m);
	if (!err)
		err = check_unchanged(m);
	if (!err)
		err = send_devices(m);
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
		return vas_error_set(-ENOMEM, "no memory for a migration");
	err = migration_init(m, vas, options);
	if (!err)
		err = migrate(m);
	if (report)
		fill_progress(m, report);
	if (err) {
		for (i = 0; i < m->sender.nr_channels; i++)
			wire_shut(&m->sender.channels[i].wire);
		let_writers_go(m);
	}
	migration_clean(m);
	return err;
}
