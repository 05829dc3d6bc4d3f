// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/layout.h"
#include "lib/base/error.h"

#define MAX_TRIES   100
#define MAX_STRIKES 5

struct region_set *vas_region_set_new(uint32_t nr)
{
	struct region_set *set = malloc(sizeof(*set) + nr * sizeof(set->regions[0]));

	if (set) {
		set->refs = 1;
		set->nr = nr;
	}
	return set;
}

void vas_region_set_put(struct region_set *set)
{
	if (set && --set->refs == 0)
		free(set);
}

void vas_region_to_entry(const struct vas_region *region, struct vas_region_entry *entry)
{
	memset(entry, 0, sizeof(*entry));
	entry->gpa = region->gpa;
	entry->size = region->size;
	entry->offset = region->offset;
	entry->backing = region->backing;
	entry->flags = region->flags;
	entry->id = region->id;
	memcpy(entry->name, region->name, sizeof(entry->name));
}

void vas_region_from_entry(const struct vas_region_entry *entry, struct vas_region *region)
{
	region->gpa = entry->gpa;
	region->size = entry->size;
	region->offset = entry->offset;
	region->backing = entry->backing;
	region->flags = entry->flags;
	region->id = entry->id;
	region->hva = NULL;
	memcpy(region->name, entry->name, sizeof(region->name));
}

/* The owner goes by its own copy, whatever the control area says. */
static int take_own(struct vas *vas, struct region_set *known, uint64_t known_generation,
		    struct snapshot *s)
{
	const struct own_layout *own = &vas->own;
	uint32_t i;

	memset(&s->state, 0, sizeof(s->state));
	s->state.generation = own->generation;
	s->state.regions_generation = own->regions_generation;
	s->state.table = own->table;
	s->state.nr_regions = own->nr;
	s->state.flags = own->flags;
	for (i = 0; i < VAS_MAX_BACKINGS; i++) {
		s->backings[i] = vas->backings[i].entry;
		if (s->backings[i].flags & VAS_BACKING_USED)
			s->state.nr_backings = i + 1;
	}
	if (known && known_generation == own->regions_generation) {
		known->refs++;
		s->set = known;
		return 0;
	}
	s->set = vas_region_set_new(own->nr);
	if (!s->set)
		return -ENOMEM;
	memcpy(s->set->regions, own->regions, own->nr * sizeof(own->regions[0]));
	return 0;
}

/* A copy of shared memory that others may be writing: what it is worth is checked afterwards. */
static void copy_shared(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static int copy_table(struct vas *vas, struct snapshot *s)
{
	const struct vas_region_entry *table;
	struct vas_region_entry *entries;
	uint32_t i, nr = s->state.nr_regions;
	int err;

	table = vas_extent(vas, s->state.table ? VAS_EXT_TABLE1 : VAS_EXT_TABLE0);
	entries = malloc((nr ? nr : 1) * sizeof(*entries));
	s->set = vas_region_set_new(nr);
	err = entries && s->set ? 0 : -ENOMEM;
	if (!err) {
		copy_shared(entries, table, nr * sizeof(*entries));
		err = vas_table_check(&vas->sb, &s->state, entries, s->backings);
	}
	for (i = 0; !err && i < nr; i++)
		vas_region_from_entry(&entries[i], &s->set->regions[i]);
	free(entries);
	if (err) {
		vas_region_set_put(s->set);
		s->set = NULL;
	}
	return err;
}

/* One try: -EPROTO may mean that it changed meanwhile. */
static int copy_generation(struct vas *vas, uint64_t generation, struct region_set *known,
			   uint64_t known_generation, struct snapshot *s)
{
	int err;

	copy_shared(&s->state, &vas->ctl->state[generation & 1], sizeof(s->state));
	err = vas_state_check(&vas->sb, &s->state, generation);
	if (err)
		return err;
	memset(s->backings, 0, sizeof(s->backings));
	copy_shared(s->backings, vas_extent(vas, VAS_EXT_BACKINGS),
		    s->state.nr_backings * sizeof(s->backings[0]));
	if (known && s->state.regions_generation == known_generation &&
	    known->nr == s->state.nr_regions) {
		known->refs++;
		s->set = known;
		return 0;
	}
	return copy_table(vas, s);
}

/*
 * It may have changed while it was being copied: then the generation is another one. What is wrong
 * under an unchanged generation may be an owner at its writing; what stays wrong is damaged.
 */
static int verdict(struct vas *vas, uint64_t generation, int err, int *strikes)
{
	if (__atomic_load_n(&vas->ctl->generation, __ATOMIC_RELAXED) != generation)
		return -EAGAIN;
	if (err == -EPROTO && ++*strikes < MAX_STRIKES)
		return -EAGAIN;
	if (err == -EPROTO)
		return vas_error_set(err, "the control area is damaged (generation %llu)",
				     (unsigned long long)generation);
	return err;
}

int vas_state_read(struct vas *vas, struct vas_state *state)
{
	int err = -EAGAIN, strikes = 0, tries;

	for (tries = 0; err == -EAGAIN && tries < MAX_TRIES; tries++) {
		uint64_t generation = __atomic_load_n(&vas->ctl->generation, __ATOMIC_ACQUIRE);

		copy_shared(state, &vas->ctl->state[generation & 1], sizeof(*state));
		err = verdict(vas, generation, vas_state_check(&vas->sb, state, generation),
			      &strikes);
	}
	return err;
}

int vas_snapshot_take(struct vas *vas, struct region_set *known, uint64_t known_generation,
		      struct snapshot *s)
{
	int err, tries, strikes = 0;

	if (vas->role == VAS_ROLE_OWNER)
		return take_own(vas, known, known_generation, s);
	for (tries = 0; tries < MAX_TRIES; tries++) {
		uint64_t generation = __atomic_load_n(&vas->ctl->generation, __ATOMIC_ACQUIRE);
		int copied = copy_generation(vas, generation, known, known_generation, s);

		if (copied == -ENOMEM)
			return vas_error_set(copied, "no memory for a copy of the layout");
		err = verdict(vas, generation, copied, &strikes);
		if (!err || err != -EAGAIN)
			return err;
		if (!copied)
			vas_region_set_put(s->set);
	}
	return vas_error_set(-EAGAIN, "the layout changed %d times while it was being read",
			     MAX_TRIES);
}
