// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/generation.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/layout.h"
#include "lib/base/error.h"

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

/* A generation as core reads it, and what of it is known already. */
struct reading {
	struct vas_generation g;
	const struct region_set *known;
	uint64_t known_generation;
	uint32_t room;
};

static bool is_known(const struct reading *r)
{
	return r->known && r->g.state.regions_generation == r->known_generation &&
	       r->known->nr == r->g.state.nr_regions;
}

static int room(struct vas_generation *g)
{
	struct reading *r = (struct reading *)g;
	uint32_t nr = g->state.nr_regions ? g->state.nr_regions : 1;

	if (is_known(r) || (g->regions && nr <= r->room)) {
		if (is_known(r)) {
			free(g->regions);
			g->regions = NULL;
		}
		return 0;
	}
	free(g->regions);
	g->regions = malloc(nr * sizeof(*g->regions));
	r->room = g->regions ? nr : 0;
	return g->regions ? 0 : -ENOMEM;
}

/* The regions are as they were, but a backing's entry may not be. */
static int check_known(const struct vas *vas, const struct vas_generation *g,
		       const struct region_set *known)
{
	uint32_t i;

	for (i = 0; i < known->nr; i++) {
		const struct vas_region *r = &known->regions[i];
		struct vas_region_entry entry;

		vas_region_to_entry(r, &entry);
		if (r->backing >= g->state.nr_backings ||
		    vas_region_check(&vas->sb, &entry, &g->backings[r->backing]))
			return -EPROTO;
	}
	return 0;
}

static int set_from_entries(const struct vas_generation *g, struct snapshot *s)
{
	uint32_t i, nr = g->state.nr_regions;

	s->set = vas_region_set_new(nr);
	if (!s->set)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		vas_region_from_entry(&g->regions[i], &s->set->regions[i]);
	return 0;
}

static int fail(struct vas *vas, int err)
{
	switch (err) {
	case -ENOMEM:
		return vas_error_set(err, "no memory for a copy of the layout");
	case -EPROTO:
		return vas_error_set(err, "the control area is damaged (generation %llu)",
				     (unsigned long long)vas_generation(vas));
	case -EAGAIN:
		return vas_error_set(err,
				     "the layout changed all the time while it was being read");
	default:
		return vas_error_set(err, "cannot read the control area: %s", strerror(-err));
	}
}

int vas_snapshot_take(struct vas *vas, struct region_set *known, uint64_t known_generation,
		      struct snapshot *s)
{
	struct reading r = { .g = { .room = room },
			     .known = known,
			     .known_generation = known_generation };
	int err;

	if (vas->role == VAS_ROLE_OWNER)
		return take_own(vas, known, known_generation, s);
	err = vas_generation_copy(&vas->proto, &r.g);
	if (!err)
		err = is_known(&r) ? check_known(vas, &r.g, known) : set_from_entries(&r.g, s);
	if (!err && is_known(&r)) {
		known->refs++;
		s->set = known;
	}
	free(r.g.regions);
	if (err)
		return fail(vas, err);
	s->state = r.g.state;
	memcpy(s->backings, r.g.backings, sizeof(s->backings));
	return 0;
}
