// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Pages that failed, mapped again: the other side of the handler in lib/handle/sigbus.c. */
#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#include "lib/access/heal.h"
#include "lib/handle/barrier.h"
#include "lib/base/error.h"
#include "lib/handle/sigbus.h"
#include "lib/handle/thread.h"
#include "lib/access/view.h"
#include "lib/access/window.h"

#define HUGE	  (2ull << 20)
#define MAX_WAITS 1000
#define NAP_NS	  20000

uint64_t vas_fault_mended(const struct vas *vas)
{
	return __atomic_load_n(&vas->failures.mended, __ATOMIC_ACQUIRE);
}

static uint64_t largest_page(const struct vas *vas)
{
	uint32_t i;

	for (i = 0; i < VAS_MAX_BACKINGS; i++)
		if (vas->backings[i].entry.page_size == HUGE)
			return HUGE;
	return VAS_PAGE_SIZE;
}

bool vas_fault_since(const struct vas *vas, uint64_t count, uintptr_t hva, size_t len)
{
	const struct failures *f = &vas->failures;
	uint64_t i, page, nr = __atomic_load_n(&f->nr, __ATOMIC_ACQUIRE);

	if (nr == count)
		return false;
	page = largest_page(vas);
	for (i = count; i < nr && nr - count <= VAS_MAX_FAILED; i++) {
		uintptr_t at = __atomic_load_n(&f->at[i % VAS_MAX_FAILED], __ATOMIC_ACQUIRE);

		if (!at || ((at | (page - 1)) >= hva && (at & ~(page - 1)) < hva + len))
			return true;
	}
	/* More than there is room for, by now: it may be among those. */
	return __atomic_load_n(&f->nr, __ATOMIC_ACQUIRE) - count > VAS_MAX_FAILED;
}

bool vas_fault_in_sections(const struct vas *vas, uintptr_t hva, size_t len)
{
	return vas_fault_since(vas, __atomic_load_n(&vas->failures.settled, __ATOMIC_ACQUIRE), hva,
			       len);
}

/* ---- mapping again ------------------------------------------------------------------------ */

/* Where hva is in a region's memory, as this process has it mapped now: 0, or what mmap() said. */
static int remap_page(struct vas *vas, uintptr_t hva)
{
	const struct vas_region_map *map = &vas->view->map;
	uint32_t i;

	for (i = 0; i < map->nr; i++) {
		const struct vas_region_map_entry *e = &map->entries[i];
		const struct vas_region *region = &vas->view->set->regions[e->region];
		uint64_t page, at;

		if (!(e->flags & VAS_REGION_MAP_REACHABLE) || region->hva || hva < e->address ||
		    hva - e->address >= e->size)
			continue;
		page = vas->backings[region->backing].entry.page_size;
		at = (hva - e->address) & ~(page - 1);
		return vas_map_backing(vas, region, at, page,
				       (void *)(uintptr_t)(e->address + at)) == MAP_FAILED;
	}
	return 0;
}

static int remap_pages(struct vas *vas, uint64_t nr)
{
	struct failures *f = &vas->failures;
	int err = nr - f->mended > VAS_MAX_FAILED;
	uint64_t i;

	for (i = f->mended; !err && i < nr; i++) {
		uintptr_t at = __atomic_load_n(&f->at[i % VAS_MAX_FAILED], __ATOMIC_RELAXED);

		err = !at || remap_page(vas, at);
	}
	/* A newer one has taken the place of one of these. */
	return err || __atomic_load_n(&f->nr, __ATOMIC_ACQUIRE) - f->mended > VAS_MAX_FAILED;
}

/*
 * How many were noted, none of which is on its way from N2 to N3; and nr_failed from before that,
 * so that who is noted later has changed it.
 */
static int settle(struct vas *vas, uint64_t *nr, uint32_t *counted)
{
	struct timespec nap = { .tv_nsec = NAP_NS };
	int waits;

	for (waits = 0; waits < MAX_WAITS; waits++) {
		*counted = __atomic_load_n(&vas->head.nr_failed, __ATOMIC_SEQ_CST);
		*nr = __atomic_load_n(&vas->failures.nr, __ATOMIC_SEQ_CST);
		if (!__atomic_load_n(&vas->failures.active, __ATOMIC_SEQ_CST))
			return 0;
		nanosleep(&nap, NULL);
	}
	return vas_error_set(-EIO, "a thread does not come to its end with a page that failed");
}

static bool nobody_is_inside(struct vas *vas)
{
	const struct thread *t;

	/* Whoever is in a section may have read zeros and not asked yet. */
	vas_barrier_process();
	for (t = vas->threads; t; t = t->next)
		if (vas_thread_is_inside(t))
			return false;
	return true;
}

/* vas->lock is held. */
static int heal(struct vas *vas)
{
	uint32_t counted, floor = vas->role == VAS_ROLE_OBSERVER;
	uint64_t nr;
	int err = settle(vas, &nr, &counted);

	if (err)
		return err;
	if (remap_pages(vas, nr) && vas_view_remap(vas))
		return vas_error_set(
			-EIO, "pages that failed cannot be mapped again: this process has as "
			      "many maps as vm.max_map_count allows, or no memory");
	__atomic_store_n(&vas->failures.mended, nr, __ATOMIC_RELEASE);
	if (nobody_is_inside(vas) &&
	    __atomic_compare_exchange_n(&vas->head.nr_failed, &counted, floor, 0, __ATOMIC_ACQ_REL,
					__ATOMIC_RELAXED))
		__atomic_store_n(&vas->failures.settled, nr, __ATOMIC_RELEASE);
	return 0;
}

int vas_fault_heal(struct vas *vas)
{
	int err;

	vas_fault_refill();
	pthread_mutex_lock(&vas->lock);
	err = heal(vas);
	pthread_mutex_unlock(&vas->lock);
	return err;
}
