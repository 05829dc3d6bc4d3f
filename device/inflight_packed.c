// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The order of stores is that of "Inflight I/O tracking" of vhost-user; device/inflight.c says why
 * release is enough. Whatever comes from the part is checked before it is an index.
 */
#include "device/inflight_packed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/range.h"

#define ALIGNMENT 64u
#define OWNER	  (VAS_PACKED_DESC_AVAIL | VAS_PACKED_DESC_USED)

#define load(field)	    __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define store(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELEASE)

_Static_assert(sizeof(struct inflight_packed_desc) == 32, "as vhost-user has it");
_Static_assert(sizeof(struct inflight_packed_part) == 32, "as vhost-user has it");

uint64_t inflight_packed_size(uint32_t nr_descs)
{
	return vas_align_up(sizeof(struct inflight_packed_part) +
				    nr_descs * sizeof(struct inflight_packed_desc),
			    ALIGNMENT);
}

static void init_part(struct inflight_packed_part *part, uint16_t nr_descs)
{
	uint16_t i;

	part->version = INFLIGHT_VERSION;
	part->desc_num = nr_descs;
	for (i = 0; i < nr_descs; i++)
		part->desc[i].next = (uint16_t)(i + 1);
}

void inflight_packed_init(void *parts, uint32_t nr_queues, uint16_t nr_descs)
{
	uint32_t i;

	for (i = 0; i < nr_queues; i++)
		init_part((void *)((char *)parts + i * inflight_packed_size(nr_descs)), nr_descs);
}

void inflight_packed_begin(struct inflight_packed_part *part, uint32_t base)
{
	uint16_t used = (uint16_t)(base >> 16);

	if (load(part->has_begun))
		return;
	part->used_idx = part->old_used_idx = used & (VAS_PACKED_WRAP - 1);
	part->used_wrap = part->old_used_wrap = !!(used & VAS_PACKED_WRAP);
	store(part->has_begun, 1);
}

/* ---- taking ------------------------------------------------------------------------------- */

static void keep_desc(struct inflight_packed_desc *entry, const struct vas_packed_desc *desc)
{
	store(entry->gpa, load(desc->gpa));
	store(entry->len, load(desc->len));
	store(entry->flags, load(desc->flags));
	store(entry->id, load(desc->id));
}

/* The entry behind this one in the list. Behind the last one of all nothing can be taken. */
static int next_of(const struct inflight_packed *inflight, uint16_t entry, uint16_t *next)
{
	*next = load(inflight->part->desc[entry].next);
	return *next <= inflight->size ? 0 : -EPROTO;
}

int inflight_packed_take(struct inflight_packed *inflight, const struct vas_packed_queue *queue,
			 const struct vas_virtq_chain *chain)
{
	struct inflight_packed_part *part = inflight->part;
	uint16_t first = load(part->old_free_head), at = first, i;
	uint32_t place = queue->next_avail & (VAS_PACKED_WRAP - 1);

	if (first >= inflight->size)
		return -EPROTO;
	store(part->desc[first].num, 0);
	store(part->desc[first].counter, inflight->counter++);
	store(part->desc[first].inflight, 1);
	for (i = 0; i < chain->nr_descs; i++) {
		if (at >= inflight->size)
			return -EPROTO;
		keep_desc(&part->desc[at], &queue->desc[place]);
		store(part->desc[first].last, at);
		store(part->desc[first].num, (uint16_t)(i + 1));
		if (next_of(inflight, at, &at))
			return -EPROTO;
		if (++place == queue->size)
			place = 0;
	}
	store(part->free_head, at);
	store(part->old_free_head, at);
	inflight->entry_of[chain->head] = first;
	return 0;
}

/* ---- giving ------------------------------------------------------------------------------- */

static void advance(struct inflight_packed *inflight, uint32_t nr_descs)
{
	uint32_t used = load(inflight->part->used_idx) + nr_descs;
	uint8_t wrap = load(inflight->part->used_wrap) & 1;

	if (used >= inflight->size) {
		used -= inflight->size;
		wrap ^= 1;
	}
	store(inflight->part->used_idx, (uint16_t)used);
	store(inflight->part->used_wrap, wrap);
}

int inflight_packed_before_give(struct inflight_packed *inflight,
				const struct vas_virtq_answer *answers, uint32_t nr)
{
	struct inflight_packed_part *part = inflight->part;
	uint16_t head = load(part->free_head), last;
	uint32_t i, nr_descs = 0;

	for (i = 0; i < nr; i++) {
		uint16_t entry = inflight->entry_of[answers[i].head];

		last = load(part->desc[entry].last);
		if (last >= inflight->size)
			return -EPROTO;
		store(part->desc[last].next, head);
		head = entry;
		nr_descs += answers[i].nr_descs;
	}
	store(part->free_head, head);
	advance(inflight, nr_descs);
	return 0;
}

/* Half of a place would be one of another round, where the ring has what was answered long ago. */
static void commit(struct inflight_packed_part *part)
{
	struct inflight_packed_part now = { .place = load(part->place) };

	now.old_used_idx = now.used_idx;
	now.old_used_wrap = now.used_wrap;
	store(part->old_free_head, load(part->free_head));
	store(part->place, now.place);
}

void inflight_packed_after_give(struct inflight_packed *inflight,
				const struct vas_virtq_answer *answers, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++)
		store(inflight->part->desc[inflight->entry_of[answers[i].head]].inflight, 0);
	commit(inflight->part);
}

/* ---- going on ----------------------------------------------------------------------------- */

/* Was the batch seen that was being given: is its first descriptor no longer available? */
static bool was_given(const struct inflight_packed_part *part, const struct vas_packed_desc *ring,
		      uint16_t used)
{
	uint16_t flags = __atomic_load_n(&ring[used].flags, __ATOMIC_ACQUIRE) & OWNER;
	uint16_t available =
		load(part->old_used_wrap) & 1 ? VAS_PACKED_DESC_AVAIL : VAS_PACKED_DESC_USED;

	return flags != available;
}

static int settle(struct inflight_packed *inflight, const struct vas_packed_desc *ring)
{
	struct inflight_packed_part *part = inflight->part;
	uint16_t used = load(part->old_used_idx);

	if (used >= inflight->size)
		return -EPROTO;
	if ((load(part->used_idx) != used || load(part->used_wrap) != load(part->old_used_wrap)) &&
	    was_given(part, ring, used))
		commit(part);
	store(part->free_head, load(part->old_free_head));
	store(part->used_idx, load(part->old_used_idx));
	store(part->used_wrap, load(part->old_used_wrap));
	return load(part->used_idx) < inflight->size ? 0 : -EPROTO;
}

/* What is in the free list is not in flight, whatever its flag says. */
static void clear_free(struct inflight_packed *inflight)
{
	struct inflight_packed_part *part = inflight->part;
	uint16_t at = load(part->free_head);
	uint32_t nr;

	for (nr = 0; nr < inflight->size && at < inflight->size; nr++) {
		store(part->desc[at].inflight, 0);
		at = load(part->desc[at].next);
	}
}

/* A private copy: what is compared must not change meanwhile. */
struct taken {
	uint64_t counter;
	uint16_t entry;
};

static int by_counter(const void *a, const void *b)
{
	const struct taken *left = a, *right = b;

	return (left->counter > right->counter) - (left->counter < right->counter);
}

/* How long each is, too: the ring's place is reckoned by that. */
static uint32_t collect(struct inflight_packed *inflight, struct taken *taken, uint32_t *nr_descs)
{
	const struct inflight_packed_desc *desc = inflight->part->desc;
	uint16_t i;
	uint32_t nr = 0;

	*nr_descs = 0;
	for (i = 0; i < inflight->size; i++) {
		if (!load(desc[i].inflight))
			continue;
		taken[nr++] = (struct taken){ load(desc[i].counter), i };
		inflight->num_of[i] = load(desc[i].num);
		*nr_descs += inflight->num_of[i];
	}
	return nr;
}

static uint32_t base_of(uint32_t used, uint32_t wrap, uint32_t nr_descs, uint32_t size)
{
	uint32_t avail = used + nr_descs, avail_wrap = wrap;

	if (avail >= size) {
		avail -= size;
		avail_wrap ^= 1;
	}
	return avail | avail_wrap << 15 | used << 16 | wrap << 31;
}

int inflight_packed_recover(struct inflight_packed *inflight, const struct vas_packed_desc *ring,
			    uint16_t entries[INFLIGHT_MAX_DESCS], uint32_t *base)
{
	struct inflight_packed_part *part = inflight->part;
	struct taken taken[INFLIGHT_MAX_DESCS];
	uint32_t i, nr, nr_descs;
	int err = settle(inflight, ring);

	if (err)
		return err;
	clear_free(inflight);
	nr = collect(inflight, taken, &nr_descs);
	if (nr_descs > inflight->size)
		return -EPROTO;
	qsort(taken, nr, sizeof(taken[0]), by_counter);
	for (i = 0; i < nr; i++)
		entries[i] = taken[i].entry;
	inflight->counter = nr ? taken[nr - 1].counter + 1 : 0;
	*base = base_of(load(part->used_idx), load(part->used_wrap) & 1, nr_descs, inflight->size);
	return (int)nr;
}

int inflight_packed_chain(struct inflight_packed *inflight, uint16_t entry,
			  struct vas_packed_desc descs[INFLIGHT_MAX_DESCS])
{
	const struct inflight_packed_desc *desc = inflight->part->desc;
	uint16_t nr = inflight->num_of[entry], at = entry, i;

	if (!nr || nr > inflight->size)
		return -EPROTO;
	for (i = 0; i < nr; i++) {
		if (at >= inflight->size)
			return -EPROTO;
		descs[i] = (struct vas_packed_desc){
			.gpa = load(desc[at].gpa),
			.len = load(desc[at].len),
			.id = load(desc[at].id),
			.flags = load(desc[at].flags),
		};
		at = load(desc[at].next);
	}
	if (descs[nr - 1].id >= inflight->size)
		return -EPROTO;
	inflight->entry_of[descs[nr - 1].id] = entry;
	return nr;
}
