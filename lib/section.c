// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The slow ways into a section and through a translation. */
#include <errno.h>
#include <stdbool.h>

#include <vas/access.h>

#include "lib/dirty.h"
#include "lib/error.h"
#include "lib/thread.h"
#include "lib/view.h"

#define MAX_TRIES 100

static int catch_up(struct vas *vas, struct vas_thread *t)
{
	int err;

	pthread_mutex_lock(&vas->lock);
	err = vas_view_refresh(vas);
	if (!err) {
		t->generation = vas->view->state.generation;
		__atomic_store_n(&t->serial, vas->view->head.serial, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&vas->lock);
	return err;
}

/* E1 to E3 again and again, outside of the section while the view is built (E4). */
int vas_enter_slow(struct vas *vas)
{
	struct vas_thread *t;
	int err, tries;

	err = vas_thread_get(vas, &t);
	if (err)
		return err;
	if (t->depth > 1)
		return 0;
	for (tries = 0; tries < MAX_TRIES; tries++) {
		__atomic_store_n(t->slot, 0, __ATOMIC_RELEASE);
		__atomic_store_n(&t->depth, 0, __ATOMIC_RELEASE);
		err = catch_up(vas, t);
		if (err)
			return err;
		__atomic_store_n(&t->depth, 1, __ATOMIC_RELAXED);
		__atomic_store_n(t->slot, t->generation, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST); /* partner: P4 */
		if (vas->role == VAS_ROLE_OWNER || vas_generation(vas) == t->generation)
			return 0;
	}
	__atomic_store_n(t->slot, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&t->depth, 0, __ATOMIC_RELEASE);
	return vas_fail(-EAGAIN, "the layout changed %d times on the way into a section", MAX_TRIES);
}

static uint32_t wanted(uint32_t prot)
{
	return VAS_MAP_REACHABLE | (prot == VAS_PROT_WRITE ? VAS_MAP_WRITABLE : 0);
}

void *vas_translate_slow(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t prot)
{
	const struct view *view = vas_view_of(vas);
	uint64_t address;

	if (!len || vas_map_run(&view->map, gpa, len, wanted(prot), &address) < len)
		return NULL;
	return (void *)(uintptr_t)address;
}

void *vas_cache_fill(struct vas *vas, struct vas_cache *cache, uint64_t gpa, uint64_t len,
		     uint32_t prot)
{
	const struct view *view = vas_view_of(vas);
	const struct vas_map_entry *e = vas_map_find(&view->map, gpa);

	if (!e || !(e->flags & VAS_MAP_REACHABLE))
		return NULL;
	cache->gpa = e->gpa;
	cache->size = e->size;
	cache->hva = (char *)(uintptr_t)e->address;
	cache->serial = view->head.serial;
	cache->prot = e->flags & VAS_MAP_WRITABLE ? VAS_PROT_WRITE : VAS_PROT_READ;
	return vas_translate_slow(vas, gpa, len, prot);
}

void vas_mark_slow(struct vas *vas, uint64_t gpa, uint64_t len)
{
	/* W1 before W2, where H3 is no membarrier. */
	if (vas->head.fence)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vas_log_mark(&vas->log, gpa, len);
	/* The mark itself may have met a page that was not to be had. */
	if (vas_failed(vas) && vas_log_is_broken(vas))
		vas_log_lose(vas);
}
