// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Long-lived maps and the pins that tell of them. docs/design/pins.md. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/layout.h"
#include "core/range.h"
#include "lib/access/lazy.h"
#include "lib/access/view.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/base/map_count.h"
#include "lib/handle/notify.h"
#include "lib/handle/sigbus.h"

#define HUGE_PAGE (2ull << 20)

struct vas_mapping {
	struct vas *vas;
	uint64_t gpa;
	uint64_t len;
	uint32_t flags;
	uint32_t pin; /* VAS_NO_ENTRY: an observer's */
	uint32_t fork_count;
	char *hva;
	char *mapped; /* NULL: local memory, not mapped by us */
	uint64_t mapped_size;
	uint64_t skip;	  /* of mapped, before what is mapped of the vas */
	uint64_t nr_maps; /* as vas_maps_charge() knows */
	int watch;
};

/* ---- pins, seen by their holder ----------------------------------------------------------- */

/* In a section, so that P5 waits for the pin to be there. vas->lock is held. */
static int claim_pin(struct vas_mapping *m)
{
	struct vas *vas = m->vas;
	struct vas_pin_about about = {
		.gpa = m->gpa,
		.size = m->len,
		.generation = vas->view->state.generation,
		.flags = (m->flags & VAS_MAPPING_WRITE ? VAS_PIN_WRITABLE : 0) |
			 (m->flags & VAS_MAPPING_MARKS ? VAS_PIN_MARKS : 0),
		.tid = (uint32_t)syscall(SYS_gettid),
	};
	struct vas_scan scan;

	vas_scan_begin(&scan, &vas->proto, 0);
	m->pin = vas_pin_claim(&scan, &about);
	if (m->pin != VAS_NO_ENTRY)
		return 0;
	return vas_error_set(-ENOSPC, "all %u pins of this vas are taken", vas->sb.nr_pins);
}

static void release_pin(struct vas_mapping *m)
{
	/* A child's copy of its parent's mapping has no pin. */
	if (m->pin == VAS_NO_ENTRY || m->fork_count != m->vas->fork_count)
		return;
	vas_pin_release(&m->vas->proto, m->pin);
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
	if (vas_map_backing(m->vas, region, from - e->gpa, to - from,
			    m->mapped + m->skip + (from - start)) == MAP_FAILED)
		return vas_error_set(-errno, "cannot map [%#llx, +%#llx): %s",
				     (unsigned long long)from, (unsigned long long)(to - from),
				     strerror(errno));
	return 0;
}

static uint64_t page_at(const struct vas *vas, uint64_t gpa)
{
	const struct vas_region_map_entry *e = vas_region_map_find(&vas->view->map, gpa);

	return vas->backings[vas->view->set->regions[e->region].backing].entry.page_size;
}

/*
 * Whole pages of the regions at both ends, which may not have the same: what the kernel would round
 * up by itself, it would map over what is behind. Huge pages want gpa and hva to be at the same
 * place in one.
 */
static int reserve(struct vas_mapping *m, uint64_t *start, uint64_t *end)
{
	uint64_t last = m->gpa + m->len - 1, size;

	*start = m->gpa & ~(page_at(m->vas, m->gpa) - 1);
	*end = (last | (page_at(m->vas, last) - 1)) + 1;
	m->skip = *start & (HUGE_PAGE - 1);
	size = m->skip + (*end - *start);
	m->mapped = vas_reserve(size);
	if (m->mapped == MAP_FAILED) {
		m->mapped = NULL;
		return vas_error_set(-ENOMEM, "no address space for a map of %llu bytes",
				     (unsigned long long)size);
	}
	m->mapped_size = size;
	return 0;
}

static int map_range(struct vas_mapping *m, uint32_t nr_segments)
{
	const struct vas_region_map *map = &m->vas->view->map;
	const struct vas_region_map_entry *e = vas_region_map_find(map, m->gpa);
	int err = vas_maps_charge(&m->nr_maps, nr_segments);
	uint64_t start, end;

	if (!err)
		err = reserve(m, &start, &end);
	for (; !err && e < map->entries + map->nr && e->gpa < end; e++)
		err = map_part(m, e, start, end);
	if (err)
		return err;
	m->hva = m->mapped + m->skip + (m->gpa - start);
	m->watch = vas_fault_watch(m->vas, m->mapped + m->skip, end - start);
	return m->watch < 0 ? m->watch : 0;
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
		return map_range(m, nr_segments);
	m->hva = (char *)(uintptr_t)e->address + (m->gpa - e->gpa);
	return 0;
}

static void mapping_free(struct vas_mapping *m)
{
	if (m->watch >= 0)
		vas_fault_unwatch(m->watch);
	if (m->mapped)
		munmap(m->mapped, m->mapped_size);
	vas_maps_charge(&m->nr_maps, 0);
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
		err = claim_pin(m);
	pthread_mutex_unlock(&vas->lock);
	vas_leave(vas);
	return err;
}

int vas_mapping_create(struct vas *vas, uint64_t gpa, uint64_t len, uint32_t flags,
		       struct vas_mapping **out)
{
	NO_CANCEL;
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
		.vas = vas, .gpa = gpa, .len = len, .flags = flags, .pin = VAS_NO_ENTRY, .watch = -1
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
	NO_CANCEL;
	struct vas *vas;

	if (!m)
		return;
	vas = m->vas;
	/* Before the pin goes: a harvest sees the pin or the marks. */
	if (m->flags & VAS_MAPPING_WRITE && vas->role != VAS_ROLE_OBSERVER)
		mark_mapping(m);
	release_pin(m);
	mapping_free(m);
}

enum vas_request vas_mapping_request(const struct vas_mapping *m)
{
	if (m->pin == VAS_NO_ENTRY)
		return VAS_REQUEST_NONE;
	switch (vas_pin_state(&m->vas->proto, m->pin)) {
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
	if (m->pin == VAS_NO_ENTRY)
		return 0;
	/* The holder's last writes are marked before it says that there will be no more. */
	if (m->flags & VAS_MAPPING_WRITE)
		mark_mapping(m);
	if (!vas_pin_answer(&m->vas->proto, m->pin))
		return vas_error_set(-EAGAIN, "nobody asked for quiet");
	vas_notify_answer(m->vas);
	return 0;
}
