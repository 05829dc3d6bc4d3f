// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Shares as consumers of their parents: the ops, which never wait; the beginning and the end. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/dirty/freeze.h"
#include "lib/handle/lock.h"
#include "lib/handle/log.h"
#include "lib/layout/publish.h"
#include "lib/share/share.h"

#define LOOK_NS	 500000L /* between two looks at peers: that a section ends, wakes nobody */
#define NR_SLOTS 1024

static struct share *share_of(struct vas_consumer *consumer)
{
	return (struct share *)consumer;
}

/* ---- steps -------------------------------------------------------------------------------- */

static void set_timer(const struct share *share, long ns)
{
	const struct itimerspec every = { { 0, ns }, { 0, ns } };

	timerfd_settime(share->timer_fd, 0, &every, NULL);
}

/* Also the first look: mostly it is the last. */
static int look(struct share *share)
{
	if (!vas_publish_look(share->vas, share->asked, share->request, &share->blocker)) {
		set_timer(share, 0);
		return 0;
	}
	set_timer(share, LOOK_NS);
	return VAS_CONSUMER_UNDER_WAY;
}

/* Holders of these pins (NULL: nobody) are asked, and sections waited for. */
static int start(struct share *share, const struct pin_set *pins, enum vas_pin_request request)
{
	if (pins)
		share->pins = *pins;
	share->asked = pins ? &share->pins : NULL;
	share->request = request;
	return look(share);
}

static int finish(struct vas_consumer *consumer)
{
	struct share *share = share_of(consumer);
	int err;

	pthread_mutex_lock(&share->vas->change);
	err = look(share);
	pthread_mutex_unlock(&share->vas->change);
	return err;
}

static int fd_of(struct vas_consumer *consumer)
{
	return share_of(consumer)->timer_fd;
}

static void report(struct vas_consumer *consumer, struct vas_blocker *blocker)
{
	const struct vas_blocker *who = &share_of(consumer)->blocker;

	if (*who->name)
		memcpy(blocker->name, who->name, sizeof(blocker->name));
	blocker->pid = who->pid;
	blocker->tid = who->tid;
	blocker->gpa = who->gpa;
	blocker->size = who->size;
}

/* ---- layout ------------------------------------------------------------------------------- */

static int prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
		   uint64_t deadline_ns)
{
	struct share *share = share_of(consumer);
	struct pin_set pins;
	int err;

	(void)deadline_ns;
	pthread_mutex_lock(&share->vas->change);
	err = vas_share_prepare(share, delta);
	if (!err && share->nr_gone) {
		pins = vas_pins_on(share->gone, share->nr_gone, 0, share->vas->own.generation);
		err = start(share, &pins, VAS_PINS_INVALIDATE);
	}
	pthread_mutex_unlock(&share->vas->change);
	return err;
}

static int commit(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct share *share = share_of(consumer);
	int err;

	pthread_mutex_lock(&share->vas->change);
	err = vas_share_commit(share, delta);
	pthread_mutex_unlock(&share->vas->change);
	return err;
}

static void abort_change(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct share *share = share_of(consumer);

	pthread_mutex_lock(&share->vas->change);
	set_timer(share, 0);
	if (share->nr_gone)
		vas_pins_ask(share->vas, share->asked, VAS_PINS_KEEP, NULL);
	vas_share_abort(share, delta);
	pthread_mutex_unlock(&share->vas->change);
}

static int retry(struct vas_consumer *consumer)
{
	struct share *share = share_of(consumer);
	int err;

	pthread_mutex_lock(&share->vas->change);
	err = vas_share_follow(share);
	pthread_mutex_unlock(&share->vas->change);
	return err;
}

/* ---- freeze, track ------------------------------------------------------------------------ */

/* What a commit replaces, peers have left when it was prepared. */
static int freeze(struct vas_consumer *consumer, enum vas_freeze_reason reason,
		  uint64_t deadline_ns)
{
	struct share *share = share_of(consumer);
	struct pin_set all = vas_pins_all(share->vas);
	int err;

	(void)deadline_ns;
	if (reason == VAS_FREEZE_LAYOUT)
		return 0;
	pthread_mutex_lock(&share->vas->change);
	vas_writers_freeze(share->vas);
	err = start(share, &all, VAS_PINS_QUIESCE);
	pthread_mutex_unlock(&share->vas->change);
	return err;
}

static void thaw(struct vas_consumer *consumer, enum vas_freeze_reason reason)
{
	struct share *share = share_of(consumer);

	if (reason == VAS_FREEZE_LAYOUT)
		return;
	pthread_mutex_lock(&share->vas->change);
	set_timer(share, 0);
	vas_writers_thaw(share->vas);
	pthread_mutex_unlock(&share->vas->change);
}

static void publish_tracking(struct share *share, bool on)
{
	vas_publish_flag(share->vas, VAS_STATE_TRACKING, on);
	vas_publish(share->vas, NULL, 0);
}

static int track(struct vas_consumer *consumer, uint64_t deadline_ns)
{
	struct share *share = share_of(consumer);
	int err;

	(void)deadline_ns;
	pthread_mutex_lock(&share->vas->change);
	publish_tracking(share, true);
	err = start(share, NULL, VAS_PINS_KEEP);
	pthread_mutex_unlock(&share->vas->change);
	return err;
}

static void untrack(struct vas_consumer *consumer)
{
	struct share *share = share_of(consumer);

	pthread_mutex_lock(&share->vas->change);
	set_timer(share, 0);
	publish_tracking(share, false);
	pthread_mutex_unlock(&share->vas->change);
}

static int harvest(struct vas_consumer *consumer)
{
	struct share *share = share_of(consumer);
	int err;

	pthread_mutex_lock(&share->vas->change);
	err = vas_share_harvest(share);
	pthread_mutex_unlock(&share->vas->change);
	return err;
}

static const struct vas_consumer_ops share_ops = {
	.name = "share",
	.prepare = prepare,
	.commit = commit,
	.abort = abort_change,
	.retry = retry,
	.freeze = freeze,
	.thaw = thaw,
	.track = track,
	.untrack = untrack,
	.harvest = harvest,
	.fd = fd_of,
	.finish = finish,
	.blocker = report,
};

/* ---- the beginning and the end ------------------------------------------------------------ */

static int create_vas(struct share *share, const struct vas *parent)
{
	char name[VAS_NAME_LEN];
	const struct vas_options options = {
		.limit = parent->sb.limit,
		.ram_size = VAS_PAGE_SIZE, /* which no region is in */
		.name = name,
		.flags = (parent->bind_flags & VAS_BIND_FENCE ? VAS_CREATE_FENCE : 0) |
			 (parent->bind_flags & VAS_BIND_DUMP ? VAS_CREATE_DUMP : 0),
		.max_regions = parent->sb.max_regions,
		.nr_slots = NR_SLOTS,
	};

	snprintf(name, sizeof(name), "%.*s:share", VAS_NAME_LEN - 8, parent->sb.name);
	return vas_create(&options, &share->vas);
}

static int add_files(struct share *share, struct vas *parent, const uint64_t *ids, size_t nr)
{
	int err;

	if (!nr)
		return vas_error_set(-EINVAL, "no region is named that would be shared");
	pthread_mutex_lock(&parent->change);
	err = vas_share_add_files(share, parent, ids, nr);
	pthread_mutex_unlock(&parent->change);
	share->vas->is_share = 1;
	return err;
}

/* All of it, or nothing: there is nobody yet who could be out of step. */
static int attach(struct share *share, struct vas *parent)
{
	int err = vas_consumer_attach(parent, &share->consumer, VAS_TIMEOUT_DEFAULT_NS, NULL);

	if (err)
		return err;
	err = vas_consumer_status(&share->consumer);
	if (err)
		vas_consumer_detach(&share->consumer);
	return err;
}

static void share_free(struct share *share)
{
	close(share->timer_fd);
	free(share);
}

/*
 * What peers have written since the last harvest, and those that have kept maps write yet, has no
 * mark in the parent's log: it says so.
 */
static void end(struct vas_cleanup *cleanup)
{
	struct share *share = (struct share *)((char *)cleanup - offsetof(struct share, cleanup));
	struct vas *parent = share->consumer.vas;

	vas_consumer_detach(&share->consumer);
	if (!(share->flags & VAS_SHARE_READONLY))
		vas_log_set_incomplete(parent);
	share_free(share);
}

static struct share *share_new(uint32_t flags)
{
	struct share *share = calloc(1, sizeof(*share));

	if (!share) {
		vas_error_set(-ENOMEM, "no memory for a share");
		return NULL;
	}
	share->consumer.ops = &share_ops;
	share->consumer.flags = VAS_CONSUMER_BINDERS;
	share->cleanup.end = end;
	share->flags = flags;
	share->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (share->timer_fd >= 0)
		return share;
	vas_error_set(-EMFILE, "no timer for a share: %s", strerror(errno));
	free(share);
	return NULL;
}

int vas_share(struct vas *vas, const uint64_t *ids, size_t nr, uint32_t flags, struct vas **out)
{
	NO_CANCEL;
	struct share *share;
	int err = vas_owner_check(vas, "shares its regions");

	if (err)
		return err;
	if (flags & ~VAS_SHARE_READONLY)
		return vas_error_set(-EINVAL, "unknown flags %#x of a share", flags);
	share = share_new(flags);
	if (!share)
		return -ENOMEM;
	err = create_vas(share, vas);
	if (err)
		goto err_free;
	err = add_files(share, vas, ids, nr);
	if (!err)
		err = attach(share, vas);
	if (err)
		goto err_destroy;
	vas_cleanup_add(share->vas, &share->cleanup);
	*out = share->vas;
	return 0;

err_destroy:
	vas_destroy(share->vas);
err_free:
	share_free(share);
	return err;
}
