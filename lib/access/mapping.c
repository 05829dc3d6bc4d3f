// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Long-lived maps and the pins that record them: docs/design/pins.md. */
#include "lib/access/mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/layout.h"
#include "core/range.h"
#include "lib/access/lazy.h"
#include "lib/dirty/tracking.h"
#include "lib/base/error.h"
#include "lib/base/sigbus.h"
#include "lib/handle/notify.h"
#include "lib/access/view.h"

#define NO_PIN UINT32_MAX

/*
 * Bytes of gpa that are marked for pins at once, which takes 0.1 s. A peer can say of its pins what
 * it likes; beyond this, all memory that was ever touched is dirty, and that has a bound of its
 * own.
 */
#define MAX_MARKED (1ull << 40)

struct vas_mapping {
	struct vas *vas;
	uint64_t gpa;
	uint64_t len;
	uint32_t flags;
	uint32_t pin; /* NO_PIN: an observer's */
	uint32_t fork_count;
	char *hva;
	char *mapped; /* NULL: local memory, not mapped by us */
	uint64_t mapped_size;
	int watch;
};

/* ---- pins, seen by the owner -------------------------------------------------------------- */

/*
 * All levels, whatever is set: who marked before may have died. False: more than is left of *room.
 */
static bool mark_pin(const struct vas_log *log, const struct vas_pin *pin, uint64_t *room)
{
	uint64_t gpa = __atomic_load_n(&pin->gpa, __ATOMIC_RELAXED);
	uint64_t size = __atomic_load_n(&pin->size, __ATOMIC_RELAXED);

	if (size > *room)
		return false;
	*room -= size;
	vas_log_mark_again(log, gpa, size);
	return true;
}

void vas_pins_reclaim(struct vas *vas, uint32_t binder)
{
	struct vas_pin *pins = vas_pins(vas);
	uint64_t room = MAX_MARKED;
	uint32_t i, end = vas_pins_end(vas->ctl, vas->sb.nr_pins);

	for (i = 0; i < end; i++) {
		if (__atomic_load_n(&pins[i].binder, __ATOMIC_RELAXED) != binder + 1)
			continue;
		/*
		 * A writable map counts as dirty until it is gone, the death of its holder
		 * included.
		 */
		if (pins[i].flags & VAS_PIN_WRITABLE && !mark_pin(&vas->log, &pins[i], &room))
			vas_log_set_incomplete(vas);
		__atomic_store_n(&pins[i].generation, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&pins[i].state, VAS_PIN_FREE, __ATOMIC_RELAXED);
		__atomic_store_n(&pins[i].binder, 0, __ATOMIC_RELEASE);
	}
}

/* One pin, fetched once: false if there is none, or it makes no sense. */
static bool pin_fetch(const struct vas *vas, const struct vas_pin *shared, struct vas_pin *pin)
{
	pin->state = __atomic_load_n(&shared->state, __ATOMIC_ACQUIRE);
	if (pin->state == VAS_PIN_FREE)
		return false;
	pin->binder = __atomic_load_n(&shared->binder, __ATOMIC_RELAXED);
	pin->gpa = __atomic_load_n(&shared->gpa, __ATOMIC_RELAXED);
	pin->size = __atomic_load_n(&shared->size, __ATOMIC_RELAXED);
	pin->flags = __atomic_load_n(&shared->flags, __ATOMIC_RELAXED);
	pin->tid = __atomic_load_n(&shared->tid, __ATOMIC_RELAXED);
	pin->generation = __atomic_load_n(&shared->generation, __ATOMIC_RELAXED);
	return pin->binder && pin->binder <= vas->sb.nr_binders &&
	       vas_range_fits(pin->gpa, pin->size, vas->sb.limit);
}

static bool is_hit(const struct vas_pin *pin, const struct pin_set *set)
{
	const struct vas_region *ranges = set->ranges;
	size_t low = 0, high = set->nr;

	if (pin->generation && (pin->generation < set->since || pin->generation >= set->before))
		return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges[middle].gpa + ranges[middle].size <= pin->gpa)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->nr && ranges[low].gpa < pin->gpa + pin->size;
}

/* The state that tells the holder; 0 if the pin has complied already or is none of this. */
static uint32_t state_for(const struct vas_pin *pin, enum pin_request request)
{
	switch (request) {
	case PIN_UNMAP:
		return VAS_PIN_INVALIDATE;
	case PIN_QUIESCE:
		if (!(pin->flags & VAS_PIN_WRITABLE) || pin->state == VAS_PIN_QUIESCED)
			return 0;
		return VAS_PIN_QUIESCE;
	default:
		return VAS_PIN_HELD;
	}
}

static void report(struct vas *vas, const struct vas_pin *pin, struct vas_blocker *blocker)
{
	const struct vas_binder *record = &vas_binders(vas)[pin->binder - 1];

	blocker->kind = VAS_BLOCKER_PIN;
	blocker->pid = record->pid;
	blocker->tid = pin->tid;
	blocker->gpa = pin->gpa;
	blocker->size = pin->size;
	memcpy(blocker->name, record->comm, sizeof(record->comm));
	blocker->name[sizeof(record->comm)] = '\0';
}

uint32_t vas_pins_request(struct vas *vas, const struct pin_set *set, enum pin_request request,
			  struct vas_blocker *blocker)
{
	struct vas_pin *pins = vas_pins(vas);
	uint32_t i, end = vas_pins_end(vas->ctl, vas->sb.nr_pins), asked = 0, told = 0;

	for (i = 0; i < end; i++) {
		struct vas_pin pin;
		uint32_t state;

		if (!pin_fetch(vas, &pins[i], &pin) || !is_hit(&pin, set))
			continue;
		state = state_for(&pin, request);
		if (!state)
			continue;
		/* A holder that changes it meanwhile is looked at in the next round. */
		if (pin.state != state)
			told += __atomic_compare_exchange_n(&pins[i].state, &pin.state, state, 0,
							    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
		if (!asked++ && blocker)
			report(vas, &pin, blocker);
	}
	if (told)
		vas_notify_everyone(vas);
	return asked;
}

static bool is_always_dirty(const struct vas *vas, uint32_t i, struct vas_pin *pin)
{
	return pin_fetch(vas, &vas_pins(vas)[i], pin) &&
	       (pin->flags & (VAS_PIN_WRITABLE | VAS_PIN_MARKS)) == VAS_PIN_WRITABLE;
}

bool vas_pins_are_dirty(const struct vas *vas)
{
	uint32_t i, end = vas_pins_end(vas->ctl, vas->sb.nr_pins);
	struct vas_pin pin;

	for (i = 0; i < end; i++)
		if (is_always_dirty(vas, i, &pin))
			return true;
	return false;
}

bool vas_pins_mark(struct vas *vas, const struct vas_log *log)
{
	uint32_t i, end = vas_pins_end(vas->ctl, vas->sb.nr_pins);
	uint64_t room = MAX_MARKED;
	struct vas_pin pin;

	for (i = 0; i < end; i++)
		if (is_always_dirty(vas, i, &pin) && !mark_pin(log, &pin, &room))
			return false;
	return true;
}

/* ---- pins, seen by their holder ----------------------------------------------------------- */

static int pin_claim(struct vas_mapping *m)
{
	struct vas *vas = m->vas;
	uint32_t i;

	for (i = 0; i < vas->sb.nr_pins; i++) {
		struct vas_pin *pin = &vas_pins(vas)[i];
		uint32_t nobody = 0;

		if (__atomic_load_n(&pin->binder, __ATOMIC_RELAXED))
			continue;
		__atomic_fetch_or(&vas->ctl->pins_claimed, i, __ATOMIC_SEQ_CST);
		if (!__atomic_compare_exchange_n(&pin->binder, &nobody, vas->binder + 1, 0,
						 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		pin->gpa = m->gpa;
		pin->size = m->len;
		pin->flags = (m->flags & VAS_MAPPING_WRITE ? VAS_PIN_WRITABLE : 0) |
			     (m->flags & VAS_MAPPING_MARKS ? VAS_PIN_MARKS : 0);
		pin->tid = (uint32_t)syscall(SYS_gettid);
		pin->generation = vas->view->state.generation;
		__atomic_store_n(&pin->state, VAS_PIN_HELD, __ATOMIC_RELEASE);
		m->pin = i;
		return 0;
	}
	return vas_error_set(-ENOSPC, "all %u pins of this vas are taken", vas->sb.nr_pins);
}

static void pin_release(struct vas_mapping *m)
{
	struct vas_pin *pin;
	uint32_t mine = m->vas->binder + 1;

	/* A child's copy of its parent's mapping has no pin. */
	if (m->pin == NO_PIN || m->fork_count != m->vas->fork_count)
		return;
	pin = &vas_pins(m->vas)[m->pin];
	__atomic_store_n(&pin->generation, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&pin->state, VAS_PIN_FREE, __ATOMIC_RELEASE);
	__atomic_compare_exchange_n(&pin->binder, &mine, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
	vas_notify_answer(m->vas);
}

/* ---- the map itself ----------------------------------------------------------------------- */

/* All of the range is in regions that are available and allow the access. */
static int check_range(const struct vas_mapping *m, uint32_t *nr_segments)
{
	const struct vas_region_map *map = &m->vas->view->map;
	const struct vas_region_map_entry *e = vas_region_map_find(map, m->gpa);
	uint64_t at = m->gpa, end = m->gpa + m->len;

	*nr_segments = 0;
	for (; at < end; at = e->gpa + e->size, e++, ++*nr_segments) {
		if (!e || e == map->entries + map->nr || e->gpa > at)
			return vas_error_set(-EFAULT, "no region holds gpa %#llx",
					     (unsigned long long)at);
		if (!(e->flags & VAS_REGION_MAP_REACHABLE))
			return vas_error_set(-ENXIO, "the memory at gpa %#llx is out of reach here",
					     (unsigned long long)at);
		if (!(m->flags & VAS_MAPPING_WRITE) || e->flags & VAS_REGION_MAP_WRITABLE)
			continue;
		if (e->flags & VAS_REGION_MAP_ROM || m->vas->role == VAS_ROLE_OBSERVER)
			return vas_error_set(-EACCES, "gpa %#llx is read-only",
					     (unsigned long long)at);
		return vas_error_set(-EAGAIN, "the vas is frozen for writers");
	}
	return 0;
}

/* The part of the range in one region, mapped to where it belongs. */
static int map_part(struct vas_mapping *m, const struct vas_region_map_entry *e, uint64_t start,
		    uint64_t end)
{
	const struct vas_region *region = &m->vas->view->set->regions[e->region];
	uint64_t from = e->gpa > start ? e->gpa : start;
	uint64_t to = e->gpa + e->size < end ? e->gpa + e->size : end;

	if (region->flags & VAS_REGION_LOCAL)
		return vas_error_set(-ENXIO,
				     "local memory maps only by itself, not beside other regions");
	if (vas_map_backing(m->vas, region, from - e->gpa, to - from, m->mapped + (from - start)) ==
	    MAP_FAILED)
		return vas_error_set(-errno, "cannot map [%#llx, +%#llx): %s",
				     (unsigned long long)from, (unsigned long long)(to - from),
				     strerror(errno));
	return 0;
}

static int map_range(struct vas_mapping *m)
{
	const struct vas_region_map *map = &m->vas->view->map;
	const struct vas_region_map_entry *e = vas_region_map_find(map, m->gpa);
	uint64_t page =
		m->vas->backings[m->vas->view->set->regions[e->region].backing].entry.page_size;
	uint64_t start = m->gpa & ~(page - 1), end = m->gpa + m->len;
	int err = 0;

	end = vas_align_up(end, VAS_PAGE_SIZE);
	end = vas_align_up(end - start, page) + start;
	m->mapped_size = end - start;
	m->mapped = vas_reserve(m->mapped_size);
	if (m->mapped == MAP_FAILED) {
		m->mapped = NULL;
		return vas_error_set(-ENOMEM, "no address space for a map of %llu bytes",
				     (unsigned long long)m->mapped_size);
	}
	for (; !err && e < map->entries + map->nr && e->gpa < end; e++)
		err = map_part(m, e, start, end);
	m->watch = err ? -1 : vas_fault_watch(m->vas, m->mapped, m->mapped_size);
	m->hva = m->mapped + (m->gpa - start);
	return err ? err : m->watch < 0 ? m->watch : 0;
}

static int mapping_fill(struct vas_mapping *m)
{
	const struct vas_region_map_entry *e;
	uint32_t nr_segments;
	int err = check_range(m, &nr_segments);

	if (err)
		return err;
	e = vas_region_map_find(&m->vas->view->map, m->gpa);
	if (nr_segments > 1 || !m->vas->view->set->regions[e->region].hva)
		return map_range(m);
	m->hva = (char *)(uintptr_t)e->address + (m->gpa - e->gpa);
	return 0;
}

static void mapping_free(struct vas_mapping *m)
{
	if (m->watch >= 0)
		vas_fault_unwatch(m->watch);
	if (m->mapped)
		munmap(m->mapped, m->mapped_size);
	free(m);
}

/* In a section, so that P5 waits for the pin to be there: after it, the owner sees all pins. */
static int mapping_make(struct vas_mapping *m)
{
	struct vas *vas = m->vas;
	int err = vas_lazy_enter(vas, m->gpa, m->len);

	if (err)
		return err;
	pthread_mutex_lock(&vas->lock);
	err = mapping_fill(m);
	if (!err && vas->role != VAS_ROLE_OBSERVER)
		err = pin_claim(m);
	pthread_mutex_unlock(&vas->lock);
	vas_leave(vas);
	return err;
}

int vas_mapping_create(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t flags,
		       struct vas_mapping **out)
{
	struct vas_mapping *m;
	int err;

	if (!len || !vas_range_fits(gpa, len, vas->sb.limit))
		return vas_error_set(-EFAULT, "[%#llx, +%#llx) is not in the address space",
				     (unsigned long long)gpa, (unsigned long long)len);
	if (flags & ~(VAS_MAPPING_WRITE | VAS_MAPPING_MARKS))
		return vas_error_set(-EINVAL, "unknown flags %#x", flags);
	m = calloc(1, sizeof(*m));
	if (!m)
		return vas_error_set(-ENOMEM, "no memory for a mapping");
	*m = (struct vas_mapping){
		.vas = vas, .gpa = gpa, .len = len, .flags = flags, .pin = NO_PIN, .watch = -1
	};
	err = mapping_make(m);
	if (err) {
		mapping_free(m);
		return err;
	}
	m->fork_count = vas->fork_count;
	*out = m;
	return 0;
}

void *vas_mapping_addr(const struct vas_mapping *m)
{
	return m->hva;
}

/*
 * W1 before W2, where H3 may be no membarrier: the holder's last stores, then the look at the log.
 */
static void mark_mapping(const struct vas_mapping *m)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vas_log_mark(&m->vas->log, m->gpa, m->len);
}

void vas_mapping_destroy(struct vas_mapping *m)
{
	struct vas *vas;

	if (!m)
		return;
	vas = m->vas;
	/* Before the pin goes: a harvest sees the pin or the marks. */
	if (m->flags & VAS_MAPPING_WRITE && vas->role != VAS_ROLE_OBSERVER)
		mark_mapping(m);
	pin_release(m);
	mapping_free(m);
}

enum vas_request vas_mapping_request(const struct vas_mapping *m)
{
	if (m->pin == NO_PIN)
		return VAS_REQUEST_NONE;
	switch (__atomic_load_n(&vas_pins(m->vas)[m->pin].state, __ATOMIC_ACQUIRE)) {
	case VAS_PIN_INVALIDATE:
		return VAS_REQUEST_UNMAP;
	case VAS_PIN_QUIESCE:
	case VAS_PIN_QUIESCED:
		return VAS_REQUEST_QUIESCE;
	default:
		return VAS_REQUEST_NONE;
	}
}

int vas_mapping_quiesce(struct vas_mapping *m)
{
	uint32_t asked = VAS_PIN_QUIESCE;

	if (m->pin == NO_PIN)
		return 0;
	/* The holder's last writes are marked before it says that there will be no more. */
	if (m->flags & VAS_MAPPING_WRITE)
		mark_mapping(m);
	if (!__atomic_compare_exchange_n(&vas_pins(m->vas)[m->pin].state, &asked, VAS_PIN_QUIESCED,
					 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED) &&
	    asked != VAS_PIN_QUIESCED)
		return vas_error_set(-EAGAIN, "nobody asked for quiet");
	vas_notify_answer(m->vas);
	return 0;
}
