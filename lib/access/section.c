// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The slow ways into a section and through a translation. */
#include <errno.h>
#include <stdbool.h>

#include <vas/access.h>

#include "lib/access/lazy.h"
#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/handle/thread.h"
#include "lib/access/view.h"
#include "lib/base/error.h"
#include "lib/handle/log.h"
#include "lib/handle/thread.h"

#define MAX_TRIES 100
#define MIN_TRIES 10
#define ENTER_NS  1000000000ull /* beyond the least tries: views of large layouts take time */

static int catch_up(struct vas *vas, struct thread *t)
{
	int err;

	pthread_mutex_lock(&vas->lock);
	err = vas_view_refresh(vas);
	if (!err) {
		t->head.generation = vas->view->state.generation;
		t->fence = vas->fence ? DEPTH_FENCE : 0;
		__atomic_store_n(&t->head.serial, vas->view->head.serial, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&vas->lock);
	return err;
}

/* E1 to E3, with a fence. */
static bool try_enter(struct vas *vas, struct thread *t)
{
	__atomic_store_n(&t->head.depth, 1 | t->fence, __ATOMIC_RELAXED);
	__atomic_store_n(t->head.slot, t->head.generation, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* partner: P4 */
	return vas_generation(vas) == t->head.generation;
}

static void stay_out(struct thread *t)
{
	__atomic_store_n(t->head.slot, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&t->head.depth, t->fence, __ATOMIC_RELEASE);
}

/* Again and again, outside of the section while the view is built (E4). */
int vas_enter_slow(struct vas *vas)
{
	NO_CANCEL;
	uint64_t deadline_ns = 0;
	struct thread *t;
	int err, tries;

	err = vas_thread_get(vas, &t);
	if (err)
		return err;
	for (tries = 0; tries < MAX_TRIES; tries++) {
		/* Who enters at the first tries does not look at the clock. */
		if (tries == MIN_TRIES)
			deadline_ns = vas_deadline_ns(ENTER_NS);
		if (tries > MIN_TRIES && vas_now_ns() >= deadline_ns)
			break;
		if (t->head.generation && try_enter(vas, t))
			return 0;
		stay_out(t);
		err = catch_up(vas, t);
		if (err)
			return err;
	}
	return vas_error_set(-EAGAIN, "the layout changed %d times on the way into a section",
			     tries);
}

/* depth is not 0, but perhaps only for the fence; or the thread is not registered. */
int vas_enter_nested(struct vas *vas)
{
	struct thread *t = vas_thread_find(vas);

	if (!t || !vas_thread_is_inside(t))
		return vas_enter_slow(vas);
	__atomic_store_n(&t->head.depth, t->head.depth + 1, __ATOMIC_RELAXED);
	return 0;
}

void vas_leave_nested(struct vas *vas)
{
	struct thread *t = vas_thread_find(vas);

	if (!t || !vas_thread_is_inside(t))
		return; /* entered before a fork() */
	if ((t->head.depth & ~DEPTH_FENCE) == 1)
		stay_out(t);
	else
		__atomic_store_n(&t->head.depth, t->head.depth - 1, __ATOMIC_RELAXED);
}

static uint32_t wanted(uint32_t prot)
{
	return VAS_REGION_MAP_REACHABLE | (prot == VAS_PROT_WRITE ? VAS_REGION_MAP_WRITABLE : 0);
}

void *vas_translate_slow(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot)
{
	const struct view *view = vas_view_of(vas);
	uint64_t address;

	if (!len || vas_region_map_range(&view->map, gpa, len, wanted(prot), &address) < len ||
	    vas_lazy_range(vas, gpa, len))
		return NULL;
	return (void *)(uintptr_t)address;
}

void *vas_cache_fill(struct vas *vas, struct vas_cache *cache, uint64_t gpa, uint64_t len,
		     uint32_t prot)
{
	const struct view *view = vas_view_of(vas);
	const struct vas_region_map_entry *e = vas_region_map_find(&view->map, gpa);

	if (!e || !(e->flags & VAS_REGION_MAP_REACHABLE))
		return NULL;
	if (vas_is_lazy(vas))
		return vas_translate_slow(vas, gpa, len, prot);
	cache->gpa = e->gpa;
	cache->size = e->size;
	cache->hva = (char *)(uintptr_t)e->address;
	cache->serial = view->head.serial;
	cache->prot = e->flags & VAS_REGION_MAP_WRITABLE ? VAS_PROT_WRITE : VAS_PROT_READ;
	return vas_translate_slow(vas, gpa, len, prot);
}

/* A mark itself may have met a page that was not to be had. */
static void check_log(struct vas *vas)
{
	if (vas_page_failed(vas) && vas_log_is_broken(vas))
		vas_log_set_incomplete(vas);
}

/* Out of line: its caller is but a few instructions. */
static __attribute__((noinline)) void mark_levels(struct vas *vas, uint64_t page)
{
	vas_log_repair_word(&vas->log, page / 64);
	check_log(vas);
}

/*
 * W3 to W5 of a page that is not marked, where W1 needs no fence. What is needed after the locked
 * or is in registers before it, since no load overtakes that; and the function is one line of the
 * cache.
 */
__attribute__((aligned(64))) void vas_mark_page(struct vas *vas, uint64_t page)
{
	const uint64_t *summary = &vas->log.summary[page / 64 / 64];

	__atomic_fetch_or(&vas->log.words[page / 64], 1ull << page % 64, __ATOMIC_SEQ_CST);
	if (vas_likely(__atomic_load_n(summary, __ATOMIC_SEQ_CST) >> page / 64 % 64 & 1) &&
	    !vas_page_failed(vas))
		return;
	mark_levels(vas, page);
}

void vas_mark_slow(struct vas *vas, uint64_t gpa, uint64_t len)
{
	/* It has written nothing, and its map of the log is read-only. */
	if (vas->role == VAS_ROLE_OBSERVER)
		return;
	/* W1 before W2, where H3 is no membarrier. */
	if (__atomic_load_n(&vas->fence, __ATOMIC_RELAXED))
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vas_log_mark(&vas->log, gpa, len);
	check_log(vas);
}
