// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Waiting for pages that are not filled yet, on the side of whoever touches them. The owner's side:
 * lib/lazy/.
 */
#include "lib/access/lazy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <vas/access.h>

#include "core/range.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/handle/lock.h"
#include "lib/handle/notify.h"
#include "lib/handle/generation.h"
#include "lib/access/view.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/futex.h"
#include "lib/handle/generation.h"
#include "lib/handle/lock.h"
#include "lib/handle/log.h"

#define LAZY_NS	  10000000000ull /* as long as the owner may take to fill a word */
#define LOOK_NS	  5000000ull	 /* between two looks at whether it lives */
#define MAX_TRIES 100
#define LOOKS	  1024	       /* at words, between two at the clock */
#define STRIDE	  (1ull << 22) /* words that are skipped at most, between two */
#define MAX_WAITS (1ull << 20)

int vas_lazy_by_state(struct vas *vas)
{
	struct vas_state state;

	/* The owner's threads go by its own copy, and fetch for themselves. */
	return vas->role == VAS_ROLE_OWNER || vas_state_read(vas, &state) ||
	       state.flags & VAS_STATE_LAZY;
}

static int missing_log(struct vas *vas, struct vas_log *log)
{
	uint32_t index = __atomic_load_n(&vas->ctl->lazy_log, __ATOMIC_ACQUIRE);

	if (index > vas->sb.nr_trackers)
		return vas_error_set(
			-EPROTO, "the control area is damaged: pages are to come, by tracker %u",
			index);
	if (index)
		vas_tracker_log(vas, index - 1, log);
	return index != 0;
}

/* Bits of a word's pages that [gpa, end) touches. */
static uint64_t mask_of(uint64_t word, uint64_t gpa, uint64_t end)
{
	uint64_t base = word * WORD_SIZE, mask = UINT64_MAX;

	if (gpa > base)
		mask &= UINT64_MAX << (gpa - base) / VAS_PAGE_SIZE;
	if (end - base < WORD_SIZE)
		mask &= UINT64_MAX >> (63 - (end - base - 1) / VAS_PAGE_SIZE);
	return mask;
}

static bool owner_lives(struct vas *vas)
{
	if (vas->role == VAS_ROLE_OWNER)
		return vas->lazy != NULL;
	return vas_owner_lives(vas);
}

/*
 * One at a time: who finds another's request there waits for that to be done, and tries again. It
 * wakes the filler all the same: the other may have died before it did.
 */
static void request(struct vas *vas, uint64_t word)
{
	uint64_t nothing = 0;

	if (vas->role == VAS_ROLE_OBSERVER)
		return;
	__atomic_compare_exchange_n(&vas->ctl->lazy_request, &nothing, (word * WORD_SIZE) | 1, 0,
				    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	vas_futex_wake(&vas->ctl->lazy_wakeup);
}

static int fail_damaged(uint64_t word)
{
	return vas_error_set(
		-EIO,
		"memory at gpa %#llx was to be restored and cannot be: its snapshot is "
		"damaged or gone",
		(unsigned long long)(word * WORD_SIZE));
}

static int check_filled(struct vas *vas, uint64_t word, uint64_t deadline_ns)
{
	uint64_t failed = __atomic_load_n(&vas->ctl->lazy_failed, __ATOMIC_ACQUIRE);
	unsigned long long gpa = word * WORD_SIZE;

	if (failed == (gpa | 1))
		return fail_damaged(word);
	if (failed == LAZY_NEVER || !owner_lives(vas))
		return vas_error_set(
			-EIO,
			"memory at gpa %#llx had not been restored when the process that "
			"restored it ended",
			gpa);
	if (vas_now_ns() >= deadline_ns)
		return vas_error_set(-ETIMEDOUT, "memory at gpa %#llx is not filled%s", gpa,
				     vas->role == VAS_ROLE_OBSERVER ?
					     ", and an observer cannot ask for it" :
					     "");
	return 0;
}

static void wait_for_answer(struct vas *vas, uint32_t seen, uint64_t deadline_ns)
{
	uint64_t look_ns = vas_deadline_ns(LOOK_NS);

	vas_futex_wait(&vas->ctl->answer, seen, look_ns < deadline_ns ? look_ns : deadline_ns);
}

static int wait_for_word(struct vas *vas, const uint64_t *bits, uint64_t mask, uint64_t word,
			 uint64_t deadline_ns)
{
	/* An observer only waits for what the background fills. */
	uint64_t own_ns = vas_deadline_ns(vas->role == VAS_ROLE_OBSERVER ? LAZY_NS / 2 : LAZY_NS);

	deadline_ns = own_ns < deadline_ns ? own_ns : deadline_ns;
	for (;;) {
		uint32_t seen = __atomic_load_n(&vas->ctl->answer, __ATOMIC_ACQUIRE);
		int err = check_filled(vas, word, deadline_ns);

		/*
		 * After that: if the owner is gone, nothing is filled any more, and what it had
		 * filled is no error. The log first: once the state says that all is there, its
		 * place is a tracker's. Acquire: as in walk().
		 */
		if (!(__atomic_load_n(bits, __ATOMIC_ACQUIRE) & mask) || !vas_is_lazy(vas))
			return 0;
		if (err)
			return err;
		request(vas, word);
		wait_for_answer(vas, seen, deadline_ns);
	}
}

/* The owner's threads fetch it themselves, and go by what the owner knows. */
static int get_word(struct vas *vas, const uint64_t *bits, uint64_t mask, uint64_t word,
		    uint64_t deadline_ns)
{
	if (vas->role != VAS_ROLE_OWNER || !vas->lazy)
		return wait_for_word(vas, bits, mask, word, deadline_ns);
	return vas->lazy_ops->fetch(vas->lazy, word * WORD_SIZE) ? fail_damaged(word) : 0;
}

/* All words of what comes before end. */
static uint64_t words_to(uint64_t end)
{
	return (end + WORD_SIZE - 1) / WORD_SIZE;
}

/* A walk over a log that a peer may have filled with whatever takes long. */
struct walk {
	struct vas_proto_work *work;
	const struct vas_log *log;
	uint64_t word;
	uint64_t nr;
	uint64_t deadline_ns;
	uint32_t looks;
};

static int check_time(const struct walk *w)
{
	if (w->deadline_ns == UINT64_MAX || vas_now_ns() < w->deadline_ns)
		return 0;
	return vas_error_set(-ETIMEDOUT, "memory is not filled yet");
}

/* A look at the clock costs more than one at a word of the log, so there is one now and then. */
static int count_look(struct walk *w)
{
	if (++w->looks % LOOKS)
		return 0;
	vas_work_add(&w->work->entries, LOOKS);
	return check_time(w);
}

/* The next word that may be other than 0: 1; 0 at the end. */
static int walk_next(struct walk *w)
{
	int err = count_look(w);

	while (!err && w->word < w->nr) {
		uint64_t end = w->nr - w->word < STRIDE ? w->nr : w->word + STRIDE;

		w->word = vas_log_next(w->log, w->word, end);
		if (w->word < end)
			return 1;
		err = w->word < w->nr ? check_time(w) : 0;
	}
	return err;
}

/*
 * Each word with pages of the range that are to come: get it by the deadline, or, if `get` is NULL,
 * find one: 1.
 */
static int walk(struct vas *vas, uint64_t gpa, uint64_t len, uint64_t deadline_ns,
		int (*get)(struct vas *vas, const uint64_t *bits, uint64_t mask, uint64_t word,
			   uint64_t deadline_ns))
{
	struct walk w = { .work = &vas->proto.work, .deadline_ns = deadline_ns };
	struct vas_log log;
	uint64_t end;
	int err = missing_log(vas, &log);

	if (err <= 0 || !len || gpa >= vas->sb.limit)
		return err < 0 ? err : 0;
	end = len > vas->sb.limit - gpa ? vas->sb.limit : gpa + len;
	w.log = &log;
	w.word = gpa / WORD_SIZE;
	w.nr = words_to(end);
	for (err = walk_next(&w); err == 1; err = walk_next(&w)) {
		uint64_t mask = mask_of(w.word, gpa, end);

		/* Acquire: the page is there before its bit goes; partner: the filler's release. */
		if (__atomic_load_n(&log.words[w.word], __ATOMIC_ACQUIRE) & mask) {
			if (!get)
				return 1;
			err = get(vas, &log.words[w.word], mask, w.word, deadline_ns);
			if (err)
				return err;
		}
		w.word++;
	}
	return err;
}

int vas_lazy_range_slow(struct vas *vas, uint64_t gpa, uint64_t len)
{
	return walk(vas, gpa, len, UINT64_MAX, get_word);
}

int vas_lazy_next(struct vas *vas, uint64_t *gpa, uint64_t end)
{
	uint64_t bits, word, nr, from = *gpa;
	struct vas_log log;
	int err = vas_is_lazy(vas) ? missing_log(vas, &log) : 0;

	*gpa = end;
	if (err <= 0)
		return err;
	if (end > vas->sb.limit)
		end = vas->sb.limit;
	nr = words_to(end);
	for (word = vas_log_next(&log, from / WORD_SIZE, nr); word < nr;
	     word = vas_log_next(&log, word + 1, nr)) {
		/* Acquire: as in walk(). */
		bits = __atomic_load_n(&log.words[word], __ATOMIC_ACQUIRE) &
		       mask_of(word, from, end);
		if (!bits)
			continue;
		*gpa = word * WORD_SIZE + (uint64_t)__builtin_ctzll(bits) * VAS_PAGE_SIZE;
		return 1;
	}
	return 0;
}

int vas_lazy_enter(struct vas *vas, uint64_t gpa, uint64_t len)
{
	uint64_t waits = len / WORD_SIZE < MAX_WAITS ? len / WORD_SIZE + 2 : MAX_WAITS;
	/* For all tries together, as long as one may take. */
	uint64_t deadline_ns = vas_deadline_ns(LAZY_NS * waits);
	int err, tries;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		err = vas_is_lazy(vas) ? walk(vas, gpa, len, deadline_ns, get_word) : 0;
		if (!err)
			err = vas_enter(vas);
		if (err)
			return err;
		if (!vas_is_lazy(vas) || !walk(vas, gpa, len, UINT64_MAX, NULL))
			return 0;
		vas_leave(vas);
	}
	return vas_error_set(-EAGAIN, "memory became lazy %d times on the way into a section",
			     MAX_TRIES);
}

bool vas_lazy_misses(struct vas *vas, uint64_t gpa, uint64_t len)
{
	return walk(vas, gpa, len, UINT64_MAX, NULL);
}

uint64_t vas_lazy_step(struct vas *vas, uint64_t gpa, uint64_t len)
{
	uint64_t left = WORD_SIZE - gpa % WORD_SIZE;

	return !vas_is_lazy(vas) || len < left ? len : left;
}

void vas_lazy_mark(struct vas *vas, const struct vas_region *regions, uint32_t nr,
		   const struct vas_log *log)
{
	struct vas_log missing;
	uint64_t word;
	uint32_t i;

	if (missing_log(vas, &missing) <= 0)
		return;
	for (i = 0; i < nr; i++) {
		uint64_t end = words_to(regions[i].gpa + regions[i].size);

		for (word = vas_log_next(&missing, regions[i].gpa / WORD_SIZE, end); word < end;
		     word = vas_log_next(&missing, word + 1, end)) {
			/*
			 * Acquire: of a bit that is gone, the page is there for the caller's next
			 * look.
			 */
			uint64_t bits = __atomic_load_n(&missing.words[word], __ATOMIC_ACQUIRE);

			if (bits)
				vas_log_mark_word(log, word, bits);
		}
	}
}

/* ---- all of it ---------------------------------------------------------------------------- */

/* A binder requests each word, so that pages are filled that are filled on request only. */
static int ask_for_all(struct vas *vas, uint64_t deadline_ns)
{
	ssize_t i, nr = vas_regions(vas, NULL, 0);
	struct vas_region *regions;
	int err = 0;

	if (nr < 0 || vas->role == VAS_ROLE_OBSERVER)
		return nr < 0 ? (int)nr : 0;
	regions = calloc((size_t)nr + 1, sizeof(*regions));
	if (!regions)
		return vas_error_set(-ENOMEM, "no memory for the layout");
	nr = vas_regions(vas, regions, (size_t)nr);
	for (i = 0; !err && i < nr; i++)
		err = walk(vas, regions[i].gpa, regions[i].size, deadline_ns, get_word);
	free(regions);
	return err;
}

static int check_filled_all(struct vas *vas, uint64_t deadline_ns)
{
	if (__atomic_load_n(&vas->ctl->lazy_failed, __ATOMIC_ACQUIRE))
		return vas_error_set(-EIO,
				     "memory that was to be restored cannot be: its snapshot is "
				     "damaged or gone");
	if (!owner_lives(vas))
		return vas_error_set(-EIO,
				     "the process that restored this memory ended before all of it "
				     "was there");
	if (vas_now_ns() >= deadline_ns)
		return vas_error_set(-ETIMEDOUT, "memory is not filled yet");
	return 0;
}

static int wait_for_all(struct vas *vas, uint64_t deadline_ns)
{
	while (vas_is_lazy(vas)) {
		uint32_t seen = __atomic_load_n(&vas->ctl->answer, __ATOMIC_ACQUIRE);
		int err = check_filled_all(vas, deadline_ns);

		/* As in wait_for_word(): the owner may have told it, and ended. */
		if (!vas_is_lazy(vas))
			break;
		if (err)
			return err;
		wait_for_answer(vas, seen, deadline_ns);
	}
	return 0;
}

static void fetch_all(struct vas *vas)
{
	if (vas->lazy)
		vas->lazy_ops->fetch_all(vas);
}

int vas_lazy_wait(struct vas *vas, uint64_t timeout_ns)
{
	NO_CANCEL;
	uint64_t deadline_ns = vas_deadline_ns(timeout_ns);
	int err = 0;

	/* A look, with no time at all, is no request. */
	if (timeout_ns && vas->role == VAS_ROLE_OWNER)
		fetch_all(vas);
	else if (timeout_ns && vas_is_lazy(vas))
		err = ask_for_all(vas, deadline_ns);
	return err ? err : wait_for_all(vas, deadline_ns);
}
