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

	vas_arrive_lock(a);
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
	bool is_last;
	int err;

	if (i < 0)
		return 0;
	vas_arrive_lock(a);
	err = a->done ? 0 : bring(a, (size_t)i);
	is_last = !a->nr_left;
	pthread_mutex_unlock(&a->lock);
	vas_notify_answer(a->vas);
	/* The filler sees to the end, and may be asleep. */
	if (is_last)
		vas_futex_wake(&a->vas->ctl->arrive_bell);
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

/* All is there: everyone goes the fast way again. */
static void finish(struct arrival *a)
{
	struct vas *vas = a->vas;

	pthread_mutex_lock(&vas->change);
	vas_arrive_lock(a);
	vas_arrive_release(a);
	a->done = true;
	pthread_mutex_unlock(&a->lock);
	vas_publish_flag(vas, VAS_STATE_ARRIVING, false);
	vas_publish(vas, NULL, 0);
	vas_arrive_forget(a);
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

	vas_arrive_lock(a);
	nr = a->nr_left;
	pthread_mutex_unlock(&a->lock);
	return nr;
}

void *vas_arrive_fill(void *arg)
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
void vas_arrive_stop(struct arrival *a)
{
	struct timespec pause = { .tv_nsec = 100000 };

	__atomic_store_n(&a->stop, true, __ATOMIC_RELEASE);
	while (pthread_tryjoin_np(a->filler, NULL) == EBUSY) {
		vas_futex_wake(&a->vas->ctl->arrive_bell);
		nanosleep(&pause, NULL);
	}
}

/* For vas_arrive_wait() of the owner. */
void vas_arrive_all(struct vas *vas)
{
	if (!vas->arrival)
		return;
	__atomic_store_n(&vas->arrival->background, true, __ATOMIC_RELEASE);
	vas_futex_wake(&vas->ctl->arrive_bell);
}
