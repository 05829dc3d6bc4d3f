// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <vas/consumer.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/error.h"
#include "lib/handle/handle.h"

static struct vas_delta all_added(const struct vas *vas)
{
	return (struct vas_delta){ .added = vas->own.regions, .nr_added = vas->own.nr };
}

static int start_tracking(struct vas *vas, struct vas_consumer *consumer)
{
	if (!(vas->own.flags & VAS_STATE_TRACKING) || !consumer->ops->track)
		return 0;
	return consumer->ops->track(consumer, 1);
}

static int attach(struct vas *vas, struct vas_consumer *consumer)
{
	struct vas_delta delta = all_added(vas);
	int err;

	consumer->vas = vas;
	err = consumer->ops->prepare(consumer, &delta);
	if (err)
		return err;
	consumer->ops->commit(consumer, &delta);
	err = start_tracking(vas, consumer);
	if (err) {
		struct vas_delta back = { .removed = delta.added, .nr_removed = delta.nr_added };

		consumer->ops->commit(consumer, &back);
		return err;
	}
	consumer->next = vas->consumers;
	vas->consumers = consumer;
	return 0;
}

/* Informational, for others; the names that have room. */
static void tell_consumers(struct vas *vas)
{
	char names[VAS_CONSUMERS_LEN] = "";
	const struct vas_consumer *c;
	size_t len = 0;

	for (c = vas->consumers; c && len < sizeof(names); c = c->next)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len ? "," : "",
					c->ops->name);
	vas_binder_set_consumers(&vas->proto, names);
}

int vas_consumer_attach(struct vas *vas, struct vas_consumer *consumer)
{
	int err;

	if (vas->role != VAS_ROLE_OWNER)
		return vas_error_set(-EPERM, "only the owner of a vas attaches consumers to it");
	pthread_mutex_lock(&vas->change);
	err = attach(vas, consumer);
	if (!err)
		tell_consumers(vas);
	pthread_mutex_unlock(&vas->change);
	return err;
}

void vas_consumer_detach(struct vas_consumer *consumer)
{
	struct vas *vas = consumer->vas;
	struct vas_delta delta = { 0 };
	struct vas_consumer **p;

	pthread_mutex_lock(&vas->change);
	for (p = &vas->consumers; *p && *p != consumer; p = &(*p)->next)
		;
	if (*p) {
		*p = consumer->next;
		tell_consumers(vas);
		/* What it has logged so far must not be lost with it. */
		if (vas->own.flags & VAS_STATE_TRACKING && consumer->ops->harvest)
			consumer->ops->harvest(consumer);
		delta.removed = vas->own.regions;
		delta.nr_removed = vas->own.nr;
		consumer->ops->commit(consumer, &delta);
	}
	pthread_mutex_unlock(&vas->change);
}

int vas_mark_dirty(struct vas *vas, uint64_t gpa, uint64_t len)
{
	uint64_t end;

	if (__builtin_add_overflow(gpa, len, &end) || end > vas->sb.limit)
		return -EINVAL;
	vas_log_mark(&vas->log, gpa, len);
	return 0;
}

int vas_mark_dirty_word(struct vas *vas, uint64_t gpa, uint64_t bits)
{
	uint64_t word = gpa / (VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE);

	if (gpa % (VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE) || gpa >= vas->sb.limit)
		return -EINVAL;
	vas_log_mark_word(&vas->log, word, bits);
	return 0;
}
