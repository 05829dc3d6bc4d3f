// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Reading what a generation says: a seqlock whose writer may die, or lie. model/layout.pml, E4.
 *
 * Order: the generation is read (acquire; pairs with P3's release), the copy is made, and after an
 * acquire fence the generation is read again. If it is the same, no later change had begun to be
 * published when the copy was made, for a writer writes the state and table of one generation only
 * after it has published the one before.
 */
#include <linux/errno.h>

#include "core/bytes.h"
#include "core/layout.h"
#include "core/protocol/protocol.h"

#define MAX_TRIES   100			   /* a layout that changes faster than it can be copied */
#define MAX_ENTRIES (2u * VAS_MAX_REGIONS) /* of tables, copied in one call */
#define MAX_STRIKES 5 /* what is wrong under one generation may be an owner at its writing */

static uint64_t begin(const struct vas_proto *proto)
{
	return __atomic_load_n(&proto->control->generation, __ATOMIC_ACQUIRE);
}

/* 0: what was copied stands; -EAGAIN: once more; -EPROTO: it stays wrong. */
static int verdict(const struct vas_proto *proto, uint64_t generation, int err, int *strikes)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (__atomic_load_n(&proto->control->generation, __ATOMIC_RELAXED) != generation)
		return -EAGAIN;
	if (err == -EPROTO && ++*strikes < MAX_STRIKES)
		return -EAGAIN;
	return err;
}

static int copy_state(const struct vas_proto *proto, uint64_t generation, struct vas_state *state)
{
	const struct vas_state *shared = &proto->control->state[generation & 1];
	const uint64_t *from = (const uint64_t *)shared;
	uint64_t *to = (uint64_t *)state;
	uint32_t i;

	for (i = 0; i < sizeof(*state) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	return vas_state_check(proto->sb, state, generation);
}

int vas_generation_read(struct vas_proto *proto, struct vas_state *state)
{
	int err = -EAGAIN, strikes = 0, tries;

	for (tries = 0; err == -EAGAIN && tries < MAX_TRIES; tries++) {
		uint64_t generation = begin(proto);

		err = verdict(proto, generation, copy_state(proto, generation, state), &strikes);
	}
	return err;
}

static int copy_backings(struct vas_proto *proto, struct vas_generation *g)
{
	uint64_t offset = proto->sb->extents[VAS_EXT_BACKINGS].offset;

	vas_words_clear(g->backings, sizeof(g->backings));
	return proto->ops->copy(proto, g->backings, offset,
				g->state.nr_backings * sizeof(g->backings[0]));
}

static int copy_table(struct vas_proto *proto, struct vas_generation *g, uint64_t *entries)
{
	enum vas_extent_id table = g->state.table ? VAS_EXT_TABLE1 : VAS_EXT_TABLE0;
	int err;

	if (!g->regions)
		return vas_backings_check(proto->sb, &g->state, g->backings);
	err = proto->ops->copy(proto, g->regions, proto->sb->extents[table].offset,
			       g->state.nr_regions * sizeof(g->regions[0]));
	*entries += g->state.nr_regions;
	return err ? err : vas_table_check(proto->sb, &g->state, g->regions, g->backings);
}

/* One try. */
static int copy(struct vas_proto *proto, uint64_t generation, struct vas_generation *g,
		uint64_t *entries)
{
	int err = copy_state(proto, generation, &g->state);

	if (!err)
		err = copy_backings(proto, g);
	if (!err)
		err = g->room(g);
	return err ? err : copy_table(proto, g, entries);
}

/* Large tables get fewer tries: a peer that counts the generation up costs a constant. */
static bool may_try(int tries, uint64_t entries)
{
	return tries < MAX_TRIES && entries < MAX_ENTRIES;
}

int vas_generation_copy(struct vas_proto *proto, struct vas_generation *g)
{
	int err = -EAGAIN, strikes = 0, tries;
	uint64_t entries = 0;

	for (tries = 0; err == -EAGAIN && may_try(tries, entries); tries++) {
		uint64_t generation = begin(proto);

		proto->ops->yield();
		err = copy(proto, generation, g, &entries);
		if (err && err != -EPROTO && err != -EAGAIN)
			break;
		err = verdict(proto, generation, err, &strikes);
	}
	vas_work_add(&proto->work.entries, entries);
	return err;
}
