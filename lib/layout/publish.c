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
#include "lib/handle/barrier.h"
#include "lib/dirty/tracking.h"
#include "lib/base/error.h"
#include "lib/layout/stale.h"
#include "lib/handle/lock.h"
#include "lib/handle/notify.h"
#include "lib/access/mapping.h"
#include "lib/handle/generation.h"
#include "lib/handle/thread.h"
#include "lib/access/view.h"

#define SPINS	     2000
#define NAP_NS	     20000ull	/* between two looks at a slot: sections are shorter */
#define PIN_SLICE_NS 5000000ull /* between two looks at whether a silent pin holder still lives */

uint64_t vas_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t vas_deadline_ns(uint64_t timeout_ns)
{
	uint64_t now = vas_now_ns();

	return timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
}

/* ---- P1 to P4 ----------------------------------------------------------------------------- */

/* P1: the table that no generation before this one's successor names. */
static int write_table(struct vas *vas, uint32_t table, const struct vas_region *regions,
		       uint32_t nr)
{
	enum vas_extent_id id = table ? VAS_EXT_TABLE1 : VAS_EXT_TABLE0;
	struct vas_region_entry *entries = vas_extent(vas, id);
	uint32_t i;

	/* Allocated before it is touched: a shortage is an error here, not a signal. */
	if (nr && fallocate(vas->fd, 0, (off_t)vas->sb.extents[id].offset,
			    (off_t)(nr * sizeof(*entries))))
		return vas_error_set(-ENOMEM, "no memory for a table of %u regions: %s", nr,
				     strerror(errno));
	for (i = 0; i < nr; i++)
		vas_region_to_entry(&regions[i], &entries[i]);
	return 0;
}

/* Entries are only ever added or emptied, and no region of the present generation lies in those. */
static void write_backings(struct vas *vas, struct vas_state *state)
{
	struct vas_backing_entry *entries = vas_extent(vas, VAS_EXT_BACKINGS);
	uint32_t i;

	for (i = 0; i < VAS_MAX_BACKINGS; i++) {
		if (memcmp(&entries[i], &vas->backings[i].entry, sizeof(entries[i])))
			entries[i] = vas->backings[i].entry;
		if (entries[i].flags & VAS_BACKING_USED)
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

static void name_binder(struct vas *vas, uint32_t binder, struct vas_blocker *blocker)
{
	const struct vas_binder *record;

	if (binder >= vas->sb.nr_binders)
		return;
	record = &vas_binders(vas)[binder];
	blocker->pid = record->pid;
	memcpy(blocker->name, record->comm, sizeof(record->comm));
	blocker->name[sizeof(record->comm)] = '\0';
}

/* The slot is inside a generation before `generation`. */
static bool is_inside(const struct vas_slot *slot, uint64_t generation)
{
	uint64_t inside = __atomic_load_n(&slot->generation, __ATOMIC_ACQUIRE);

	return inside && inside < generation && __atomic_load_n(&slot->binder, __ATOMIC_RELAXED);
}

static void nap(void)
{
	struct timespec duration = { .tv_nsec = NAP_NS };

	nanosleep(&duration, NULL);
}

/* 0 once the slot's thread has been seen outside, or is dead. */
static int wait_for_slot(struct vas *vas, const struct vas_slot *slot, uint64_t deadline_ns)
{
	uint64_t generation = vas->own.generation;
	int spins;

	for (spins = 0; spins < SPINS; spins++)
		if (!is_inside(slot, generation))
			return 0;
	while (is_inside(slot, generation)) {
		uint32_t binder = __atomic_load_n(&slot->binder, __ATOMIC_RELAXED) - 1;

		/* An index beyond the table: nobody can live there. */
		if (binder >= vas->sb.nr_binders || vas_reclaim_binder(vas, binder))
			return 0;
		if (vas_now_ns() >= deadline_ns)
			return -EBUSY;
		nap();
	}
	return 0;
}

static int wait_for_sections(struct vas *vas, uint64_t deadline_ns, struct vas_blocker *blocker)
{
	const struct vas_slot *slots = vas_slots(vas);
	uint32_t i;

	for (i = 0; i < vas->sb.nr_slots; i++) {
		if (!is_inside(&slots[i], vas->own.generation) ||
		    !wait_for_slot(vas, &slots[i], deadline_ns))
			continue;
		blocker->kind = VAS_BLOCKER_SECTION;
		blocker->tid = slots[i].tid;
		name_binder(vas, slots[i].binder - 1, blocker);
		return vas_error_set(-EBUSY, "thread %u of process %u (%s) stays in a section",
				     blocker->tid, blocker->pid, blocker->name);
	}
	return 0;
}

static int wait_for_pins(struct vas *vas, const struct pin_set *pins, uint64_t deadline_ns,
			 struct vas_blocker *blocker)
{
	for (;;) {
		uint32_t seen = __atomic_load_n(&vas->ctl->answer, __ATOMIC_ACQUIRE);
		uint64_t slice_ns = vas_deadline_ns(PIN_SLICE_NS);

		if (!vas_pins_request(vas, pins, PIN_UNMAP, blocker))
			return 0;
		if (vas_now_ns() >= deadline_ns)
			break;
		vas_futex_wait(&vas->ctl->answer, seen,
			       slice_ns < deadline_ns ? slice_ns : deadline_ns);
		vas_reclaim_dead(vas);
	}
	vas_pins_request(vas, pins, PIN_KEEP, NULL);
	return vas_error_set(-EBUSY, "process %u (%s) keeps [%#llx, +%#llx) mapped", blocker->pid,
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
		if (vas_pins_request(vas, pins, PIN_UNMAP, NULL))
			vas_notify_everyone(vas);
	}
	err = wait_for_sections(vas, deadline_ns, blocker);
	if (!err)
		return pins ? wait_for_pins(vas, pins, deadline_ns, blocker) : 0;
	if (pins)
		vas_pins_request(vas, pins, PIN_KEEP, NULL);
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

/* ---- beginning and end -------------------------------------------------------------------- */

static void become_owner(struct vas *vas)
{
	vas->role = VAS_ROLE_OWNER;
	__atomic_store_n(&vas_binders(vas)[vas->binder].flags, VAS_BINDER_OWNER, __ATOMIC_RELAXED);
	vas->ctl->owner_pid = (uint32_t)getpid();
	vas_publish_flag(vas, VAS_STATE_FENCE, vas->bind_flags & VAS_BIND_FENCE);
	vas_view_free_all(vas); /* of a binder: the next is made from vas->own */
}

int vas_publish_first(struct vas *vas)
{
	struct vas_region *none = calloc(1, sizeof(*none));

	if (!none)
		return -ENOMEM;
	vas->own.next_id = 1;
	become_owner(vas);
	return vas_publish(vas, none, 0);
}

/* Regions whose memory died with their owner are not taken over. */
static struct vas_region *inherited(const struct region_set *set, uint32_t *nr, uint64_t *next_id)
{
	struct vas_region *regions = malloc((set->nr ? set->nr : 1) * sizeof(*regions));
	uint32_t i;

	*nr = 0;
	*next_id = 1;
	for (i = 0; regions && i < set->nr; i++) {
		if (set->regions[i].id >= *next_id)
			*next_id = set->regions[i].id + 1;
		if (!(set->regions[i].flags & VAS_REGION_LOCAL))
			regions[(*nr)++] = set->regions[i];
	}
	return regions;
}

/* The adopter's own layout is what the dead owner last published. */
static int inherit(struct vas *vas)
{
	struct own_layout *own = &vas->own;
	const struct vas_state *state = &vas->view->state;
	uint64_t told = vas->ctl->next_region_id;

	own->regions = inherited(vas->view->set, &own->nr, &own->next_id);
	if (!own->regions)
		return vas_error_set(-ENOMEM, "no memory for the layout");
	if (told > own->next_id && told < 1ull << 62)
		own->next_id = told;
	own->generation = state->generation;
	own->regions_generation = state->regions_generation;
	own->table = state->table;
	own->flags = state->flags & ~VAS_STATE_FROZEN;
	return vas_stale_inherit(vas);
}

/*
 * A new generation, which undoes a half-written state. The other table is left as it is: it tells
 * the next adopter, should this one die before its first change, what this one knows from it. Only
 * if memory died with the owner is it needed now.
 */
static int publish_inherited(struct vas *vas, bool incomplete_regions)
{
	struct own_layout *own = &vas->own;
	struct vas_region *copy;
	int err;

	if (!incomplete_regions)
		return vas_publish(vas, NULL, 0);
	copy = malloc((own->nr ? own->nr : 1) * sizeof(*copy));
	if (!copy)
		return vas_error_set(-ENOMEM, "no memory for the layout");
	memcpy(copy, own->regions, own->nr * sizeof(*copy));
	err = vas_publish(vas, copy, own->nr);
	if (err)
		free(copy);
	return err;
}

int vas_publish_adopted(struct vas *vas)
{
	struct vas_region everything = { .size = vas->sb.limit };
	struct pin_set all = { &everything, 1, 0, UINT64_MAX };
	bool incomplete_regions;
	int err;

	pthread_mutex_lock(&vas->lock);
	err = vas_view_refresh(vas);
	pthread_mutex_unlock(&vas->lock);
	if (err)
		return err;
	err = inherit(vas);
	if (err)
		return err;
	incomplete_regions = vas->own.nr != vas->view->set->nr;
	vas->ctl->owner_epoch++;
	/* What the dead owner's consumers had logged, a guest's writes among it, died with it. */
	if (vas->own.flags & VAS_STATE_TRACKING)
		vas_log_set_incomplete(vas);
	vas_lazy_adopt(vas);
	vas_event_adopt(vas);
	become_owner(vas);
	err = publish_inherited(vas, incomplete_regions);
	if (!err) /* what the dead owner had requested */
		vas_pins_request(vas, &all, PIN_KEEP, NULL);
	return err;
}

void vas_publish_last(struct vas *vas)
{
	struct vas_region *none = calloc(1, sizeof(*none));

	pthread_mutex_lock(&vas->change);
	if (none && vas_publish(vas, none, 0))
		free(none);
	pthread_mutex_unlock(&vas->change);
}
