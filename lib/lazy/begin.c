// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The beginning and the end of lazy memory: its log, its threads, and what they work with. */
#include "lib/lazy/lazy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "lib/layout/consumer.h"
#include "lib/base/cancel.h"
#include "lib/dirty/tracking.h"
#include "lib/base/error.h"
#include "lib/layout/layout.h"
#include "lib/handle/lock.h"
#include "lib/layout/publish.h"
#include "lib/handle/log.h"

void vas_lazy_forget(struct lazy *a)
{
	__atomic_store_n(&a->vas->ctl->lazy_log, 0, __ATOMIC_RELEASE);
	vas_tracker_release(&a->vas->proto, a->index, VAS_TAG_IMMORTAL);
}

static void lazy_free(struct lazy *a)
{
	vas_lazy_close(a);
	a->source->end(a->source);
	pthread_mutex_destroy(&a->lock);
	pthread_mutex_destroy(&a->ticket);
	free(a->words);
	free(a->missing);
	free(a->regions);
	free(a->buffer);
	free(a);
}

/* The handle goes. What is not filled never will be: those who look find that the owner is gone. */
static void lazy_end(struct vas_cleanup *cleanup)
{
	struct lazy *a = (struct lazy *)cleanup;

	vas_lazy_stop(a);
	a->vas->lazy = NULL;
	lazy_free(a);
}

static int check(const struct vas_layout *layout)
{
	const struct vas *vas = layout->vas;
	uint32_t i;

	if (vas->own.nr)
		return vas_error_set(-EINVAL, "only the first layout of a vas can be lazy");
	if (vas->create_flags & VAS_CREATE_RESERVE)
		return vas_error_set(-EINVAL, "memory that is allocated before cannot be lazy");
	if (vas->sb.page_size != VAS_PAGE_SIZE || vas->sb.features_optional & VAS_FEATURE_THP)
		return vas_error_set(-EOPNOTSUPP,
				     "memory in huge pages cannot be filled page by page");
	if (vas_consumers_with(vas, VAS_CONSUMER_PINS))
		return vas_error_set(-EBUSY, "consumer %s pins memory, which cannot be lazy then",
				     vas_consumers_with(vas, VAS_CONSUMER_PINS)->ops->name);
	for (i = 0; i < layout->nr; i++)
		if (layout->regions[i].backing || layout->regions[i].flags & VAS_REGION_LOCAL)
			return vas_error_set(-EOPNOTSUPP,
					     "region %s is not in the vas's own file, and "
					     "cannot be lazy",
					     layout->regions[i].name);
	return vas_lazy_check_host();
}

static int word_error(const struct vas_dirty_word *word, const char *fault)
{
	return vas_error_set(-EINVAL, "the word of gpa %#llx %s", (unsigned long long)word->gpa,
			     fault);
}

static int copy_words(struct lazy *a, const struct vas_layout *layout,
		      const struct vas_dirty_word *words, size_t nr)
{
	size_t i;

	a->words = malloc((nr + 1) * sizeof(*a->words));
	a->missing = malloc((nr + 1) * sizeof(*a->missing));
	a->regions = malloc((layout->nr + 1) * sizeof(*a->regions));
	a->buffer = calloc(1, WORD_SIZE);
	if (!a->words || !a->missing || !a->regions || !a->buffer)
		return vas_error_set(-ENOMEM, "no memory for a list of %zu words", nr);
	memcpy(a->regions, layout->regions, layout->nr * sizeof(*a->regions));
	a->nr_regions = layout->nr;
	for (i = 0; i < nr; i++) {
		if (words[i].gpa % WORD_SIZE)
			return word_error(&words[i], "is not a multiple of 256 KiB");
		if (words[i].gpa >= layout->vas->sb.limit)
			return word_error(&words[i], "is beyond the limit");
		if (i && words[i].gpa <= words[i - 1].gpa)
			return word_error(&words[i], "is not above the one before it");
		a->words[i] = words[i];
		a->missing[i] = words[i].bits;
		a->nr_left += words[i].bits != 0;
	}
	a->nr_words = nr;
	return 0;
}

/* A tracker's place, and its log without what a dead one has left. */
static int claim_log(struct lazy *a)
{
	struct vas *vas = a->vas;
	struct vas_scan scan;
	int err;

	vas_scan_begin(&scan, &vas->proto, 0);
	a->index = vas_tracker_claim(&scan, VAS_TAG_IMMORTAL);
	if (a->index == VAS_NO_ENTRY)
		return vas_error_set(-ENOSPC, "all %u trackers of this vas are in use",
				     vas->sb.nr_trackers);
	/* Nobody who drains for that one still is at it. */
	err = vas_drain_lock(vas);
	if (err) {
		vas_tracker_release(&vas->proto, a->index, VAS_TAG_IMMORTAL);
		return err;
	}
	vas_tracker_clear(vas, a->index);
	vas_drain_unlock(vas);
	vas_tracker_log(vas, a->index, &a->log);
	return 0;
}

/* A log of what is missing, published for everyone. Its upper levels stay when pages have come. */
static int publish_log(struct lazy *a)
{
	struct vas *vas = a->vas;
	uint64_t pages = 0;
	size_t i;
	int err = claim_log(a);

	if (err)
		return err;
	for (i = 0; i < a->nr_words; i++) {
		vas_log_mark_word(&a->log, a->words[i].gpa / WORD_SIZE, a->words[i].bits);
		pages += (uint64_t)__builtin_popcountll(a->words[i].bits);
	}
	vas->ctl->lazy_left = pages;
	vas->ctl->lazy_failed = vas->ctl->lazy_request = 0;
	__atomic_store_n(&vas->ctl->lazy_log, a->index + 1, __ATOMIC_RELEASE);
	vas_publish_flag(vas, VAS_STATE_LAZY, true);
	return 0;
}

static struct lazy *lazy_new(struct vas *vas, struct vas_source *source, uint32_t flags)
{
	struct lazy *a = calloc(1, sizeof(*a));

	if (!a) {
		source->end(source);
		vas_error_set(-ENOMEM, "no memory for a restore");
		return NULL;
	}
	a->cleanup.end = lazy_end;
	a->vas = vas;
	a->source = source;
	a->wake_fd = a->uffd = a->nothing_fd = -1;
	a->background = !(flags & VAS_LAZY_ON_TOUCH);
	pthread_mutex_init(&a->ticket, NULL);
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

/* Nothing is missing any more. */
static void unpublish_log(struct lazy *a)
{
	vas_publish_flag(a->vas, VAS_STATE_LAZY, false);
	vas_publish(a->vas, NULL, 0);
	vas_lazy_forget(a);
}

/* vas->change is held by the layout. */
static int lazy_start(struct lazy *a)
{
	int err = vas_lazy_open(a);

	if (!err)
		err = publish_log(a);
	if (err)
		return err;
	err = vas_lazy_thread(&a->filler, vas_lazy_fill, a);
	if (err) {
		unpublish_log(a);
		return err;
	}
	/* Before the layout: this process's threads go by it. */
	a->vas->lazy_ops = &vas_lazy_ops;
	a->vas->lazy = a;
	return 0;
}

/*
 * The layout was refused, and is as it was: empty. The filler may have filled pages, which go, or
 * all of them, and have published that.
 */
static void lazy_cancel(struct lazy *a)
{
	struct vas *vas = a->vas;
	uint32_t i;

	vas_lazy_stop(a);
	pthread_mutex_lock(&vas->change);
	vas->lazy = NULL;
	if (!a->done)
		unpublish_log(a);
	for (i = 0; i < a->nr_regions; i++)
		fallocate(vas->backings[0].fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)a->regions[i].offset, (off_t)a->regions[i].size);
	pthread_mutex_unlock(&vas->change);
	lazy_free(a);
}

int vas_layout_commit_lazy(struct vas_layout *layout, struct vas_source *source,
			   const struct vas_dirty_word *words, size_t nr, uint32_t flags)
{
	NO_CANCEL;
	struct lazy *a = lazy_new(layout->vas, source, flags);
	int err = a ? check(layout) : -ENOMEM;

	if (!err)
		err = copy_words(a, layout, words, nr);
	if (!err)
		err = lazy_start(a);
	if (err) {
		if (a)
			lazy_free(a);
		vas_layout_abort(layout);
		return err;
	}
	err = vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, NULL);
	if (err)
		lazy_cancel(a);
	else
		vas_cleanup_add(a->vas, &a->cleanup);
	return err;
}
