// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/layout/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/access/lazy.h"
#include "lib/access/view.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/futex.h"
#include "lib/handle/barrier.h"
#include "lib/handle/generation.h"
#include "lib/handle/file.h"
#include "lib/layout/stale.h"
#include "lib/handle/lock.h"
#include "lib/handle/notify.h"
#include "lib/handle/pins.h"
#include "lib/handle/proto.h"
#include "lib/handle/thread.h"
#include "lib/layout/stale.h"

#define SPINS  2000
#define NAP_NS 20000ull /* between two looks at a slot: sections are shorter */

/* ---- P1 to P4 ----------------------------------------------------------------------------- */

/* P1: the table that no generation before this one's successor names. */
static int write_table(struct vas *vas, uint32_t table, const struct vas_region *regions,
		       uint32_t nr)
{
	enum vas_extent_id id = table ? VAS_EXT_TABLE1 : VAS_EXT_TABLE0;
	struct vas_region_entry *entries = vas_extent(vas, id);
	uint32_t i;
	int err;

	/* Allocated before it is touched: a shortage is an error here, not a signal. */
	err = vas_file_allocate(vas->fd, vas->sb.extents[id].offset, nr * sizeof(*entries));
	if (err)
		return vas_error_set(-ENOMEM, "no memory for a table of %u regions: %s", nr,
				     strerror(-err));
	for (i = 0; i < nr; i++)
		vas_region_to_entry(&regions[i], &entries[i]);
	return 0;
}

/* Entries are only ever added or emptied, and no region of the present generation lies in those. */
static void write_backings(struct vas *vas, struct vas_state *state)
{
	struct vas_backing_entry *entries = vas_extent(vas, VAS_EXT_BACKINGS);
	uint32_t i;

	for (i = 0; i < vas->sb.nr_backings; i++) {
		if (memcmp(&entries[i], &vas->backings[i].entry, sizeof(entries[i])))
			entries[i] = vas->backings[i].entry;
		if (vas->backings[i].entry.flags & VAS_BACKING_USED)
			state->nr_backings = i + 1;
	}
}

/* P2 and P3. vas->lock is held, so that this process's threads see vas->own whole. */
static void write_state(struct vas *vas)
{
	struct own_layout *own = &vas->own;
	struct vas_state state = {
		.generation = own->generation,
		.regions_generation = own->regions_generation,
		.table = own->table,
		.nr_regions = own->nr,
		.flags = own->flags,
	};

	write_backings(vas, &state);
	vas->ctl->next_region_id = own->next_id;
	vas->ctl->state[own->generation & 1] = state;
	__atomic_store_n(&vas->is_tracked, own->flags & VAS_STATE_TRACKING, __ATOMIC_RELAXED);
	/* Partner: the acquire of the generation in vas_enter() and vas_snapshot_take(). */
	__atomic_store_n(&vas->ctl->generation, own->generation, __ATOMIC_RELEASE);
}

int vas_publish(struct vas *vas, struct vas_region *regions, uint32_t nr)
{
	struct own_layout *own = &vas->own;
	struct vas_region *old = NULL;
	int err;

	if (regions) {
		err = write_table(vas, !own->table, regions, nr);
		if (err)
			return err;
	}
	pthread_mutex_lock(&vas->lock);
	own->generation++;
	if (regions) {
		old = own->regions;
		own->regions = regions;
		own->nr = nr;
		own->table = !own->table;
		own->regions_generation = own->generation;
	}
	write_state(vas);
	pthread_mutex_unlock(&vas->lock);
	free(old);
	vas_barrier_everyone(); /* P4; partner: the compiler barrier in vas_enter(), E2 */
	vas_notify_everyone(vas);
	return 0;
}

/* ---- P5 ----------------------------------------------------------------------------------- */

static void nap(void)
{
	struct timespec duration = { .tv_nsec = NAP_NS };

	nanosleep(&duration, NULL);
}

/*
 * 0 once the slot's thread has been seen outside, or is dead. All slots together are spun for SPINS
 * times: one that somebody has filled with nonsense costs no more than one.
 */
static int wait_for_slot(struct vas_scan *scan, uint32_t slot, uint64_t generation,
			 uint64_t deadline_ns, uint32_t *spins)
{
	while (*spins && vas_slot_is_inside(scan->proto, slot, generation))
		--*spins;
	while (vas_slot_is_inside(scan->proto, slot, generation)) {
		if (vas_slot_reap(scan, slot))
			return 0;
		if (vas_now_ns() >= deadline_ns)
			return -EBUSY;
		nap();
	}
	return 0;
}

static int report_section(struct vas *vas, uint32_t slot, struct vas_blocker *blocker)
{
	struct vas_binder_about holder;

	blocker->kind = VAS_BLOCKER_SECTION;
	vas_slot_about(&vas->proto, slot, &blocker->tid, &holder);
	blocker->pid = holder.pid;
	memcpy(blocker->name, holder.comm, sizeof(holder.comm));
	return vas_error_set(-EBUSY, "thread %u of process %u (%s) stays in a section",
			     blocker->tid, blocker->pid, blocker->name);
}

/* With the deadline 0, one look, which may take the time of a scan. */
static int wait_for_sections(struct vas *vas, uint64_t deadline_ns, struct vas_blocker *blocker)
{
	uint64_t generation = vas->own.generation;
	struct vas_scan scan;
	uint32_t i, spins = SPINS;

	vas_scan_begin(&scan, &vas->proto, deadline_ns ? vas_scan_deadline_ns(deadline_ns) : 0);
	for (i = 0; i < vas->sb.nr_slots; i++) {
		if (!vas_slot_is_inside(&vas->proto, i, generation))
			continue;
		/* Each look at a dead one may be slow, and there may be as many as slots. */
		if (scan.expired || wait_for_slot(&scan, i, generation, deadline_ns, &spins))
			return report_section(vas, i, blocker);
	}
	return 0;
}

static int wait_for_pins(struct vas *vas, const struct pin_set *pins, uint64_t deadline_ns,
			 struct vas_blocker *blocker)
{
	int err = vas_pins_wait(vas, pins, VAS_PINS_INVALIDATE, deadline_ns, blocker);

	if (!err)
		return 0;
	vas_pins_ask(vas, pins, VAS_PINS_KEEP, NULL);
	return vas_error_set(err, "process %u (%s) keeps [%#llx, +%#llx) mapped", blocker->pid,
			     blocker->name, (unsigned long long)blocker->gpa,
			     (unsigned long long)blocker->size);
}

int vas_publish_wait(struct vas *vas, const struct pin_set *pins, uint64_t deadline_ns,
		     struct vas_blocker *blocker)
{
	struct vas_blocker nobody;
	int err;

	if (!blocker)
		blocker = &nobody;
	memset(blocker, 0, sizeof(*blocker));
	if (pins) {
		blocker->gpa = pins->ranges[0].gpa;
		blocker->size = pins->ranges[0].size;
		/* At once, so that holders have all the time there is; new pins appear until P5. */
		vas_pins_ask(vas, pins, VAS_PINS_INVALIDATE, NULL);
	}
	err = wait_for_sections(vas, deadline_ns, blocker);
	if (!err)
		return pins ? wait_for_pins(vas, pins, deadline_ns, blocker) : 0;
	if (pins)
		vas_pins_ask(vas, pins, VAS_PINS_KEEP, NULL);
	return err;
}

int vas_publish_look(struct vas *vas, const struct pin_set *pins, enum vas_pin_request request,
		     struct vas_blocker *blocker)
{
	int err;

	memset(blocker, 0, sizeof(*blocker));
	err = wait_for_sections(vas, 0, blocker);
	/* The same answer again means that sections had ended when it was given: no new pins. */
	if (pins && vas_pins_ask(vas, pins, request, err ? NULL : blocker))
		err = -EBUSY;
	return err;
}

void vas_publish_flag(struct vas *vas, uint32_t flag, bool on)
{
	pthread_mutex_lock(&vas->lock);
	if (on)
		vas->own.flags |= flag;
	else
		vas->own.flags &= ~flag;
	pthread_mutex_unlock(&vas->lock);
}
