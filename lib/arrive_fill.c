// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Bringing pages: the owner's side of memory that arrives. DESIGN.md, "Memory that arrives". */
#include "lib/arrive.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/dirty.h"
#include "lib/error.h"
#include "lib/layout.h"
#include "lib/notify.h"
#include "lib/publish.h"

#define WORD_SIZE (VAS_LOG_PAGES_PER_WORD * VAS_PAGE_SIZE)

/* ---- a word ------------------------------------------------------------------------------- */

static ssize_t find_word(const struct arrival *a, uint64_t gpa)
{
	size_t low = 0, high = a->nr_words;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (a->words[middle].gpa < gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low < a->nr_words && a->words[low].gpa == gpa ? (ssize_t)low : -1;
}

bool vas_arrive_wants(struct arrival *a, uint64_t gpa)
{
	ssize_t i = find_word(a, gpa & ~(WORD_SIZE - 1));
	bool wants;

	pthread_mutex_lock(&a->lock);
	wants = i >= 0 && a->wanting[i] >> gpa % WORD_SIZE / VAS_PAGE_SIZE & 1;
	pthread_mutex_unlock(&a->lock);
	return wants;
}

/* The next run of these pages that is one in the file too: its size, 0 at the end. */
static uint64_t next_run(const struct arrival *a, uint64_t gpa, uint64_t *bits, unsigned int *first,
			 uint64_t *offset)
{
	uint64_t size = 0;

	if (!*bits)
		return 0;
	*first = (unsigned int)__builtin_ctzll(*bits);
	*offset = vas_arrive_offset(a, gpa + *first * VAS_PAGE_SIZE);
	do {
		size += VAS_PAGE_SIZE;
		*bits &= *bits - 1;
	} while (*bits && (unsigned int)__builtin_ctzll(*bits) == *first + size / VAS_PAGE_SIZE &&
		 vas_arrive_offset(a, gpa + *first * VAS_PAGE_SIZE + size) == *offset + size);
	return size;
}

static int place_word(struct arrival *a, uint64_t gpa, uint64_t bits)
{
	uint64_t offset, size;
	unsigned int first;
	int err = 0;

	while (!err && (size = next_run(a, gpa, &bits, &first, &offset)))
		err = offset == UINT64_MAX ? -EPROTO :
					     vas_arrive_place(a, offset,
							      a->buffer + first * VAS_PAGE_SIZE, size);
	return err;
}

static void wake_word(struct arrival *a, uint64_t gpa, uint64_t bits, bool failed)
{
	uint64_t offset, size;
	unsigned int first;

	while ((size = next_run(a, gpa, &bits, &first, &offset)))
		vas_arrive_wake(a, offset, size, failed);
}

static void have_come(struct arrival *a, size_t i)
{
	uint64_t gpa = a->words[i].gpa, bits = a->wanting[i];

	/* Release: the bytes before the bit; partner: the acquire in wait_for_word(). */
	__atomic_fetch_and(&a->log.words[gpa / WORD_SIZE], ~bits, __ATOMIC_RELEASE);
	__atomic_fetch_sub(&a->vas->ctl->arrive_left, (uint64_t)__builtin_popcountll(bits),
			   __ATOMIC_RELAXED);
	a->wanting[i] = 0;
	a->nr_left--;
	wake_word(a, gpa, bits, false);
}

static void cannot_come(struct arrival *a, size_t i)
{
	__atomic_store_n(&a->vas->ctl->arrive_failed, a->words[i].gpa | 1, __ATOMIC_RELEASE);
	a->nr_failed += a->words[i].bits != 0;
	a->words[i].bits = 0;
	wake_word(a, a->words[i].gpa, a->wanting[i], true);
}

/* The lock is held. */
static int bring(struct arrival *a, size_t i)
{
	uint64_t bits = 0;
	int err;

	if (!a->wanting[i])
		return 0;
	err = a->words[i].bits ? a->source->fetch(a->source, a->words[i].gpa, a->buffer, &bits) : -EIO;
	if (!err && a->wanting[i] & ~bits)
		err = -EPROTO;
	if (!err)
		err = place_word(a, a->words[i].gpa, a->wanting[i]);
	if (err)
		cannot_come(a, i);
	else
		have_come(a, i);
	return err;
}

int vas_arrive_fetch(struct arrival *a, uint64_t gpa)
{
	ssize_t i = find_word(a, gpa & ~(WORD_SIZE - 1));
	int err = 0;

	if (i < 0)
		return 0;
	pthread_mutex_lock(&a->lock);
	err = a->done ? 0 : bring(a, (size_t)i);
	pthread_mutex_unlock(&a->lock);
	vas_notify_answer(a->vas);
	return err;
}

/* ---- where it is -------------------------------------------------------------------------- */

uint64_t vas_arrive_offset(const struct arrival *a, uint64_t gpa)
{
	uint32_t low = 0, high = a->nr_regions;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (a->regions[middle].gpa + a->regions[middle].size <= gpa)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == a->nr_regions || a->regions[low].gpa > gpa)
		return UINT64_MAX;
	return a->regions[low].offset + (gpa - a->regions[low].gpa);
}

uint64_t vas_arrive_gpa(const struct arrival *a, uint64_t offset)
{
	uint32_t i;

	for (i = 0; i < a->nr_regions; i++)
		if (offset >= a->regions[i].offset &&
		    offset - a->regions[i].offset < a->regions[i].size)
			return a->regions[i].gpa + (offset - a->regions[i].offset);
	return UINT64_MAX;
}

/* ---- the end of it ------------------------------------------------------------------------ */

static void forget_log(struct arrival *a)
{
	struct vas_tracker *entry = &vas_trackers(a->vas)[a->index];

	__atomic_store_n(&a->vas->ctl->arriving, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->binder, 0, __ATOMIC_RELEASE);
}

/* All is there: everyone goes the fast way again. */
static void finish(struct arrival *a)
{
	struct vas *vas = a->vas;

	pthread_mutex_lock(&vas->change);
	pthread_mutex_lock(&a->lock);
	vas_arrive_release(a);
	a->done = true;
	pthread_mutex_unlock(&a->lock);
	vas->own.flags &= ~VAS_STATE_ARRIVING;
	vas_publish(vas, NULL, 0);
	forget_log(a);
	pthread_mutex_unlock(&vas->change);
	vas_notify_answer(vas);
}

/* ---- the filler --------------------------------------------------------------------------- */

static void serve(struct arrival *a)
{
	uint64_t wanted = __atomic_load_n(&a->vas->ctl->arrive_wanted, __ATOMIC_ACQUIRE);

	if (!wanted)
		return;
	vas_arrive_fetch(a, wanted & ~(WORD_SIZE - 1));
	/* Whoever wrote something else meanwhile asks again. */
	__atomic_store_n(&a->vas->ctl->arrive_wanted, 0, __ATOMIC_RELEASE);
	vas_notify_answer(a->vas);
}

/* The next word that nobody has asked for: false, there is none. */
static bool advance(struct arrival *a)
{
	if (!__atomic_load_n(&a->background, __ATOMIC_ACQUIRE) || a->next == a->nr_words)
		return false;
	vas_arrive_fetch(a, a->words[a->next++].gpa);
	return true;
}

static size_t nr_left(struct arrival *a)
{
	size_t nr;

	pthread_mutex_lock(&a->lock);
	nr = a->nr_left;
	pthread_mutex_unlock(&a->lock);
	return nr;
}

static void *fill(void *arg)
{
	struct arrival *a = arg;
	uint32_t *bell = &a->vas->ctl->arrive_bell;

	while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE)) {
		uint32_t seen = __atomic_load_n(bell, __ATOMIC_ACQUIRE);

		serve(a);
		if (advance(a))
			continue;
		if (!nr_left(a)) {
			finish(a);
			break;
		}
		if (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE) &&
		    !__atomic_load_n(&a->vas->ctl->arrive_wanted, __ATOMIC_ACQUIRE))
			vas_futex_wait(bell, seen, UINT64_MAX);
	}
	return NULL;
}

/* Signals are the application's threads' to take. */
int vas_arrive_thread(pthread_t *thread, void *(*run)(void *arg), struct arrival *a)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(thread, NULL, run, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err ? vas_fail(err, "cannot start a thread: %s", strerror(-err)) : 0;
}

/* It may be about to sleep: wake it until it is gone. */
static void join_filler(struct arrival *a)
{
	struct timespec pause = { .tv_nsec = 100000 };

	__atomic_store_n(&a->stop, true, __ATOMIC_RELEASE);
	while (pthread_tryjoin_np(a->filler, NULL) == EBUSY) {
		vas_futex_wake(&a->vas->ctl->arrive_bell);
		nanosleep(&pause, NULL);
	}
}

/* ---- its life ----------------------------------------------------------------------------- */

static void arrival_free(struct arrival *a)
{
	vas_arrive_close(a);
	a->source->end(a->source);
	pthread_mutex_destroy(&a->lock);
	free(a->words);
	free(a->wanting);
	free(a->regions);
	free(a->buffer);
	free(a);
}

/* The handle goes. What has not come never will: those who ask find that the owner is gone. */
static void arrival_end(struct vas_ending *ending)
{
	struct arrival *a = (struct arrival *)ending;

	join_filler(a);
	a->vas->arrival = NULL;
	arrival_free(a);
}

static int check(const struct vas_layout *layout)
{
	const struct vas *vas = layout->vas;
	uint32_t i;

	if (vas->own.nr)
		return vas_fail(-EINVAL, "only the first layout of a vas can arrive");
	if (vas->create_flags & VAS_CREATE_RESERVE)
		return vas_fail(-EINVAL, "memory that is allocated before cannot arrive later");
	if (vas->sb.page_size != VAS_PAGE_SIZE || vas->sb.features_optional & VAS_FEATURE_THP)
		return vas_fail(-EOPNOTSUPP, "memory in huge pages cannot arrive page by page");
	for (i = 0; i < layout->nr; i++)
		if (layout->regions[i].backing || layout->regions[i].flags & VAS_REGION_LOCAL)
			return vas_fail(-EOPNOTSUPP, "region %s is not in the vas's own file, and "
					"cannot arrive", layout->regions[i].name);
	return vas_arrive_check_host();
}

static int copy_words(struct arrival *a, const struct vas_layout *layout,
		      const struct vas_dirty_word *words, size_t nr)
{
	size_t i;

	a->words = malloc((nr + 1) * sizeof(*a->words));
	a->wanting = malloc((nr + 1) * sizeof(*a->wanting));
	a->regions = malloc((layout->nr + 1) * sizeof(*a->regions));
	a->buffer = calloc(1, WORD_SIZE);
	if (!a->words || !a->wanting || !a->regions || !a->buffer)
		return vas_fail(-ENOMEM, "no memory for a list of %zu words", nr);
	memcpy(a->regions, layout->regions, layout->nr * sizeof(*a->regions));
	a->nr_regions = layout->nr;
	for (i = 0; i < nr; i++) {
		if (words[i].gpa % WORD_SIZE || words[i].gpa >= layout->vas->sb.limit ||
		    (i && words[i].gpa <= words[i - 1].gpa))
			return vas_fail(-EINVAL, "words are not in order, or beyond the limit");
		a->words[i] = words[i];
		a->wanting[i] = words[i].bits;
		a->nr_left += words[i].bits != 0;
	}
	a->nr_words = nr;
	return 0;
}

/* A log of what is to come, in a tracker's place, told to everyone. */
static int publish_log(struct arrival *a)
{
	struct vas *vas = a->vas;
	uint64_t pages = 0;
	uint32_t nobody;
	size_t i;

	for (a->index = 0; a->index < vas->sb.nr_trackers; a->index++) {
		nobody = 0;
		if (__atomic_compare_exchange_n(&vas_trackers(vas)[a->index].binder, &nobody,
						ARRIVE_BINDER, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			break;
	}
	if (a->index == vas->sb.nr_trackers)
		return vas_fail(-ENOSPC, "all %u trackers of this vas are in use", a->index);
	vas_tracker_log(vas, a->index, &a->log);
	for (i = 0; i < a->nr_words; i++) {
		a->log.words[a->words[i].gpa / WORD_SIZE] = a->words[i].bits;
		pages += (uint64_t)__builtin_popcountll(a->words[i].bits);
	}
	vas->ctl->arrive_left = pages;
	vas->ctl->arrive_failed = vas->ctl->arrive_wanted = 0;
	__atomic_store_n(&vas->ctl->arriving, a->index + 1, __ATOMIC_RELEASE);
	vas->own.flags |= VAS_STATE_ARRIVING;
	return 0;
}

static struct arrival *arrival_new(struct vas *vas, struct vas_source *source, uint32_t flags)
{
	struct arrival *a = calloc(1, sizeof(*a));

	if (!a) {
		source->end(source);
		vas_fail(-ENOMEM, "no memory for a restore");
		return NULL;
	}
	a->ending.end = arrival_end;
	a->vas = vas;
	a->source = source;
	a->wake_fd = a->uffd = a->nothing_fd = -1;
	a->background = !(flags & VAS_ARRIVE_ON_TOUCH);
	pthread_mutex_init(&a->lock, NULL);
	return a;
}

/* vas->change is held by the layout. */
static int arrival_start(struct arrival *a)
{
	int err = vas_arrive_open(a);

	if (!err)
		err = publish_log(a);
	if (err)
		return err;
	err = vas_arrive_thread(&a->filler, fill, a);
	if (err) {
		forget_log(a);
		a->vas->own.flags &= ~VAS_STATE_ARRIVING;
		return err;
	}
	a->vas->arrival = a;
	vas_at_end(a->vas, &a->ending);
	return 0;
}

int vas_layout_commit_arriving(struct vas_layout *layout, struct vas_source *source,
			       const struct vas_dirty_word *words, size_t nr, uint32_t flags)
{
	struct arrival *a = arrival_new(layout->vas, source, flags);
	int err = a ? check(layout) : -ENOMEM;

	if (!err)
		err = copy_words(a, layout, words, nr);
	if (!err)
		err = arrival_start(a);
	if (!err)
		return vas_layout_commit(layout, VAS_TIMEOUT_DEFAULT_NS, NULL);
	if (a)
		arrival_free(a);
	vas_layout_abort(layout);
	return err;
}

/* For vas_arrive_wait() of the owner. */
void vas_arrive_all(struct vas *vas)
{
	if (!vas->arrival)
		return;
	__atomic_store_n(&vas->arrival->background, true, __ATOMIC_RELEASE);
	vas_futex_wake(&vas->ctl->arrive_bell);
}
