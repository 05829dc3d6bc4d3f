// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Filling pages: the owner's side of lazy memory. docs/design/lazy.md. */
#include "lib/lazy/lazy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/cancel.h"
#include "lib/dirty/tracking.h"
#include "lib/base/error.h"
#include "lib/layout/layout.h"
#include "lib/handle/notify.h"
#include "lib/layout/publish.h"
#include "lib/base/futex.h"
#include "lib/base/spawn.h"

/* ---- a word ------------------------------------------------------------------------------- */

static ssize_t find_word(const struct lazy *a, uint64_t gpa)
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

bool vas_lazy_is_missing(struct lazy *a, uint64_t gpa)
{
	ssize_t i = find_word(a, gpa & ~(WORD_SIZE - 1));
	bool wants;

	vas_lazy_lock(a);
	wants = i >= 0 && a->missing[i] >> gpa % WORD_SIZE / VAS_PAGE_SIZE & 1;
	pthread_mutex_unlock(&a->lock);
	return wants;
}

/* The next range of these pages that is one extent in the file: its size, 0 at the end. */
static uint64_t next_range(const struct lazy *a, uint64_t gpa, uint64_t *bits, unsigned int *first,
			   uint64_t *offset)
{
	uint64_t size = 0;

	if (!*bits)
		return 0;
	*first = (unsigned int)__builtin_ctzll(*bits);
	*offset = vas_lazy_offset(a, gpa + *first * VAS_PAGE_SIZE);
	do {
		size += VAS_PAGE_SIZE;
		*bits &= *bits - 1;
	} while (*bits && (unsigned int)__builtin_ctzll(*bits) == *first + size / VAS_PAGE_SIZE &&
		 vas_lazy_offset(a, gpa + *first * VAS_PAGE_SIZE + size) == *offset + size);
	return size;
}

static int place_word(struct lazy *a, uint64_t gpa, uint64_t bits)
{
	uint64_t offset, size;
	unsigned int first;
	int err = 0;

	while (!err && (size = next_range(a, gpa, &bits, &first, &offset)))
		err = offset == UINT64_MAX ?
			      -EPROTO :
			      vas_lazy_place(a, offset, a->buffer + first * VAS_PAGE_SIZE, size);
	return err;
}

static void wake_word(struct lazy *a, uint64_t gpa, uint64_t bits, bool failed)
{
	uint64_t offset, size;
	unsigned int first;

	while ((size = next_range(a, gpa, &bits, &first, &offset)))
		vas_lazy_wake(a, offset, size, failed);
}

static void are_filled(struct lazy *a, size_t i)
{
	uint64_t gpa = a->words[i].gpa, bits = a->missing[i];

	/* Release: the bytes before the bit; partner: the acquire in wait_for_word(). */
	__atomic_fetch_and(&a->log.words[gpa / WORD_SIZE], ~bits, __ATOMIC_RELEASE);
	__atomic_fetch_sub(&a->vas->ctl->lazy_left, (uint64_t)__builtin_popcountll(bits),
			   __ATOMIC_RELAXED);
	a->missing[i] = 0;
	a->nr_left--;
	wake_word(a, gpa, bits, false);
}

static void cannot_be_filled(struct lazy *a, size_t i)
{
	__atomic_store_n(&a->vas->ctl->lazy_failed, a->words[i].gpa | 1, __ATOMIC_RELEASE);
	a->nr_failed += a->words[i].bits != 0;
	a->words[i].bits = 0;
	wake_word(a, a->words[i].gpa, a->missing[i], true);
}

/* The lock is held. */
static int bring(struct lazy *a, size_t i)
{
	uint64_t bits = 0;
	int err;

	if (!a->missing[i])
		return 0;
	err = a->words[i].bits ? a->source->fetch(a->source, a->words[i].gpa, a->buffer, &bits) :
				 -EIO;
	if (!err && a->missing[i] & ~bits)
		err = -EPROTO;
	if (!err)
		err = place_word(a, a->words[i].gpa, a->missing[i]);
	if (err)
		cannot_be_filled(a, i);
	else
		are_filled(a, i);
	return err;
}

int vas_lazy_fetch(struct lazy *a, uint64_t gpa)
{
	NO_CANCEL;
	ssize_t i = find_word(a, gpa & ~(WORD_SIZE - 1));
	bool is_last;
	int err;

	if (i < 0)
		return 0;
	vas_lazy_lock(a);
	err = a->done ? 0 : bring(a, (size_t)i);
	is_last = !a->nr_left;
	pthread_mutex_unlock(&a->lock);
	vas_notify_answer(a->vas);
	/* The filler sees to the end, and may be asleep. */
	if (is_last)
		vas_futex_wake(&a->vas->ctl->lazy_wakeup);
	return err;
}

/* ---- where it is -------------------------------------------------------------------------- */

uint64_t vas_lazy_offset(const struct lazy *a, uint64_t gpa)
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

uint64_t vas_lazy_gpa(const struct lazy *a, uint64_t offset)
{
	uint32_t i;

	for (i = 0; i < a->nr_regions; i++)
		if (offset >= a->regions[i].offset &&
		    offset - a->regions[i].offset < a->regions[i].size)
			return a->regions[i].gpa + (offset - a->regions[i].offset);
	return UINT64_MAX;
}

/* ---- the end of it ------------------------------------------------------------------------ */

/* All is there: everyone goes the fast way again. */
static void finish(struct lazy *a)
{
	struct vas *vas = a->vas;

	pthread_mutex_lock(&vas->change);
	vas_lazy_lock(a);
	vas_lazy_release(a);
	a->done = true;
	pthread_mutex_unlock(&a->lock);
	vas_publish_flag(vas, VAS_STATE_LAZY, false);
	vas_publish(vas, NULL, 0);
	vas_lazy_forget(a);
	pthread_mutex_unlock(&vas->change);
	vas_notify_answer(vas);
}

/* ---- the filler --------------------------------------------------------------------------- */

static void serve(struct lazy *a)
{
	uint64_t wanted = __atomic_load_n(&a->vas->ctl->lazy_request, __ATOMIC_ACQUIRE);

	if (!wanted)
		return;
	vas_lazy_fetch(a, wanted & ~(WORD_SIZE - 1));
	/* Whoever wrote something else meanwhile requests it again. */
	__atomic_store_n(&a->vas->ctl->lazy_request, 0, __ATOMIC_RELEASE);
	vas_notify_answer(a->vas);
}

/* The next word that nobody has requested: false, there is none. */
static bool advance(struct lazy *a)
{
	if (!__atomic_load_n(&a->background, __ATOMIC_ACQUIRE) || a->next == a->nr_words)
		return false;
	vas_lazy_fetch(a, a->words[a->next++].gpa);
	return true;
}

static size_t nr_left(struct lazy *a)
{
	size_t nr;

	vas_lazy_lock(a);
	nr = a->nr_left;
	pthread_mutex_unlock(&a->lock);
	return nr;
}

void *vas_lazy_fill(void *arg)
{
	struct lazy *a = arg;
	uint32_t *wakeup = &a->vas->ctl->lazy_wakeup;

	while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE)) {
		uint32_t seen = __atomic_load_n(wakeup, __ATOMIC_ACQUIRE);

		serve(a);
		if (advance(a))
			continue;
		if (!nr_left(a)) {
			finish(a);
			break;
		}
		if (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE) &&
		    !__atomic_load_n(&a->vas->ctl->lazy_request, __ATOMIC_ACQUIRE))
			vas_futex_wait(wakeup, seen, UINT64_MAX);
	}
	return NULL;
}

int vas_lazy_thread(pthread_t *thread, void *(*run)(void *arg), struct lazy *a)
{
	int err = vas_spawn(thread, run, a);

	return err ? vas_error_set(err, "cannot start a thread: %s", strerror(-err)) : 0;
}

/* It may be about to sleep: wake it until it is gone. */
void vas_lazy_stop(struct lazy *a)
{
	struct timespec pause = { .tv_nsec = 100000 };

	__atomic_store_n(&a->stop, true, __ATOMIC_RELEASE);
	while (pthread_tryjoin_np(a->filler, NULL) == EBUSY) {
		vas_futex_wake(&a->vas->ctl->lazy_wakeup);
		nanosleep(&pause, NULL);
	}
}

/* For the owner's vas_lazy_wait(). */
static void fetch_all(struct vas *vas)
{
	if (!vas->lazy)
		return;
	__atomic_store_n(&vas->lazy->background, true, __ATOMIC_RELEASE);
	vas_futex_wake(&vas->ctl->lazy_wakeup);
}

const struct vas_lazy_ops vas_lazy_ops = { .fetch = vas_lazy_fetch, .fetch_all = fetch_all };
