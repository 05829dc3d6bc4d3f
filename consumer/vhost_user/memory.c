// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The back end's regions follow the layout. One entry of its table is one region; or, if there is
 * no room for so many, neighbours that are neighbours in their file.
 *
 * prepare adds what lies where nothing was. What is taken away goes when the change holds for
 * everybody and before it is committed, in the freeze for the layout: queues stand meanwhile, for
 * many back ends have requests under way in memory that they unmap. What takes its place comes
 * then, too. A back end without CONFIGURE_MEM_SLOTS has its table replaced as a whole, then.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "consumer/vhost_user/front.h"
#include "core/range.h"

/* Rings are told by user addresses, which are of no process here; 0 would be none to some. */
#define USER_BASE (1ull << 46)

uint64_t vas_front_user_address(uint64_t gpa)
{
	return USER_BASE + gpa;
}

static int has_slots(const struct vas_vhost_user *front)
{
	return front_has(front, VHOST_USER_PROTOCOL_MEM_SLOTS);
}

/* ---- layouts --------------------------------------------------------------------------------- */

/* A file to hand over, which the device may write. */
static int is_given(const struct vas_region *region)
{
	return !(region->flags & (VAS_REGION_LOCAL | VAS_REGION_READONLY | VAS_REGION_DEVICE));
}

static int is_removed(const struct vas_region *region, const struct vas_delta *delta)
{
	size_t i;

	for (i = 0; i < delta->nr_removed; i++)
		if (delta->removed[i].gpa == region->gpa)
			return 1;
	return 0;
}

/* Two sorted lists become one, less what is removed. */
static int layout_next(struct vas_vhost_user *front, const struct vas_delta *delta)
{
	const struct front_layout *present = &front->layout;
	struct front_layout *next = &front->next;
	size_t old = 0, new = 0;

	next->nr = 0;
	next->at = malloc((present->nr + delta->nr_added + 1) * sizeof(*next->at));
	if (!next->at)
		return vas_error_set(-ENOMEM, "no memory for a list of regions");
	while (old < present->nr || new < delta->nr_added) {
		const struct vas_region *region;

		if (old < present->nr && is_removed(&present->at[old], delta)) {
			old++;
			continue;
		}
		if (new == delta->nr_added ||
		    (old < present->nr && present->at[old].gpa < delta->added[new].gpa))
			region = &present->at[old++];
		else
			region = &delta->added[new ++];
		if (is_given(region))
			next->at[next->nr++] = *region;
	}
	return 0;
}

static void layout_drop(struct front_layout *layout)
{
	free(layout->at);
	*layout = (struct front_layout){ 0 };
}

const struct vas_region *vas_front_memory_find(const struct vas_vhost_user *front, uint64_t gpa,
					       uint64_t size)
{
	size_t i;

	for (i = 0; i < front->layout.nr; i++) {
		const struct vas_region *r = &front->layout.at[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size && size <= r->size - (gpa - r->gpa))
			return r;
	}
	return NULL;
}

/* ---- entries --------------------------------------------------------------------------------- */

static int goes_on(const struct front_entry *entry, const struct vas_region *region)
{
	return entry->gpa + entry->size == region->gpa && entry->backing == region->backing &&
	       entry->offset + entry->size == region->offset;
}

/* What the next layout is as entries; whole has room for all. */
static size_t entries_build(const struct front_layout *layout, int merges,
			    struct front_entry *whole)
{
	size_t i, nr = 0;

	for (i = 0; i < layout->nr; i++) {
		const struct vas_region *r = &layout->at[i];

		if (merges && nr && goes_on(&whole[nr - 1], r))
			whole[nr - 1].size += r->size;
		else
			whole[nr++] = (struct front_entry){
				.gpa = r->gpa,
				.size = r->size,
				.offset = r->offset,
				.backing = r->backing,
				.is_next = 1,
			};
	}
	return nr;
}

static struct front_entry *entry_find(struct front_entries *entries, const struct front_entry *like)
{
	size_t i;

	for (i = 0; i < entries->nr; i++) {
		struct front_entry *e = &entries->at[i];

		if (e->gpa == like->gpa && e->size == like->size && e->offset == like->offset &&
		    e->backing == like->backing)
			return e;
	}
	return NULL;
}

static int entries_reserve(struct front_entries *entries, size_t more)
{
	struct front_entry *grown;

	if (entries->nr + more <= entries->room)
		return 0;
	grown = realloc(entries->at, (entries->nr + more) * sizeof(*grown));
	if (!grown)
		return vas_error_set(-ENOMEM, "no memory for a list of regions");
	entries->at = grown;
	entries->room = entries->nr + more;
	return 0;
}

/* Those of the next layout are marked; those that are new are behind the others. */
static int entries_merge(struct vas_vhost_user *front, const struct front_entry *next, size_t nr)
{
	struct front_entries *entries = &front->entries;
	size_t i;
	int err = entries_reserve(entries, nr);

	if (err)
		return err;
	for (i = 0; i < entries->nr; i++)
		entries->at[i].is_next = 0;
	for (i = 0; i < nr; i++) {
		struct front_entry *have = entry_find(entries, &next[i]);

		if (have)
			have->is_next = 1;
		else
			entries->at[entries->nr++] = next[i];
	}
	return 0;
}

static int entries_next(struct vas_vhost_user *front)
{
	struct front_entry *next = malloc((front->next.nr + 1) * sizeof(*next));
	size_t nr;
	int err;

	if (!next)
		return vas_error_set(-ENOMEM, "no memory for a list of regions");
	nr = entries_build(&front->next, 0, next);
	if (nr > front->max_entries)
		nr = entries_build(&front->next, 1, next);
	if (nr > front->max_entries && front->is_ready)
		err = vas_error_set(-ENOSPC,
				    "%s: the layout has %zu parts that are not neighbours, and the "
				    "back end takes %u",
				    front->name, nr, front->max_entries);
	else
		err = entries_merge(front, next, nr);
	free(next);
	return err;
}

/* Nobody wants them any more, and nobody has them. */
static void entries_purge(struct vas_vhost_user *front)
{
	struct front_entries *entries = &front->entries;
	size_t i, left = 0;

	/* The answer to this is about one of them. */
	if (front->action >= FRONT_MEMORY_REMOVE && front->action <= FRONT_MEMORY_TABLE)
		return;

	for (i = 0; i < entries->nr; i++)
		if (entries->at[i].is_wanted || entries->at[i].is_sent)
			entries->at[left++] = entries->at[i];
	entries->nr = left;
}

static int is_there(const struct front_entry *entry)
{
	return entry->is_present || entry->is_sent;
}

static int has_room(const struct front_entries *entries, const struct front_entry *wanted)
{
	size_t i;

	for (i = 0; i < entries->nr; i++)
		if (is_there(&entries->at[i]) &&
		    vas_ranges_overlap(entries->at[i].gpa, entries->at[i].size, wanted->gpa,
				       wanted->size))
			return 0;
	return 1;
}

/* What can be added beside all that is there. */
static void want_early(struct vas_vhost_user *front)
{
	struct front_entries *entries = &front->entries;
	size_t i, nr = 0;

	for (i = 0; i < entries->nr; i++)
		nr += is_there(&entries->at[i]);
	for (i = 0; i < entries->nr && nr < front->max_entries; i++) {
		struct front_entry *entry = &entries->at[i];

		if (!entry->is_next || is_there(entry) || !has_room(entries, entry))
			continue;
		entry->is_wanted = 1;
		nr++;
	}
}

enum entries_of { ENTRIES_PRESENT, ENTRIES_NEXT };

static void want(struct vas_vhost_user *front, enum entries_of which)
{
	size_t i;

	for (i = 0; i < front->entries.nr; i++) {
		struct front_entry *entry = &front->entries.at[i];

		entry->is_wanted = which == ENTRIES_NEXT ? entry->is_next : entry->is_present;
	}
}

static int any_queue_is_running(const struct vas_vhost_user *front)
{
	uint32_t i;

	for (i = 0; i < front->server.nr_queues; i++)
		if (front->queues[i].is_running || front->queues[i].is_draining)
			return 1;
	return 0;
}

/* ---- for the pump ---------------------------------------------------------------------------- */

int vas_front_memory_is_late(const struct vas_vhost_user *front)
{
	size_t i;

	for (i = 0; i < front->entries.nr; i++) {
		const struct front_entry *entry = &front->entries.at[i];

		if (entry->is_sent && !entry->is_wanted)
			return 1;
		if (!has_slots(front) && entry->is_sent != entry->is_wanted)
			return 1;
	}
	return 0;
}

int vas_front_memory_is_told(const struct vas_vhost_user *front)
{
	size_t i;

	for (i = 0; front->is_ready && i < front->entries.nr; i++)
		if (front->entries.at[i].is_sent != front->entries.at[i].is_wanted)
			return 0;
	return 1;
}

static struct vhost_user_region region_of(const struct front_entry *entry)
{
	return (struct vhost_user_region){ entry->gpa, entry->size,
					   vas_front_user_address(entry->gpa), entry->offset };
}

static int table_send(struct vas_vhost_user *front)
{
	struct vhost_user_mem_table table = { 0 };
	int fds[VHOST_USER_MAX_REGIONS];
	size_t i;

	for (i = 0; i < front->entries.nr; i++) {
		front->entries.at[i].is_in_table = front->entries.at[i].is_wanted;
		if (!front->entries.at[i].is_wanted)
			continue;
		fds[table.nr] = vas_backing_fd(front->vas, front->entries.at[i].backing);
		table.regions[table.nr++] = region_of(&front->entries.at[i]);
	}
	vas_front_tell(
		front, FRONT_MEMORY_TABLE, 0,
		&(struct channel_request){ VHOST_USER_SET_MEM_TABLE,
					   offsetof(struct vhost_user_mem_table, regions) +
						   table.nr * (uint32_t)sizeof(table.regions[0]),
					   &table, fds, table.nr });
	return 1;
}

static int slot_send(struct vas_vhost_user *front, enum front_action action)
{
	int is_sent = action == FRONT_MEMORY_REMOVE;
	struct vhost_user_one_region one = { 0 };
	struct front_entry *entry;
	size_t i;
	int fd;

	for (i = 0; i < front->entries.nr; i++)
		if (front->entries.at[i].is_sent == is_sent &&
		    front->entries.at[i].is_wanted != is_sent)
			break;
	if (i == front->entries.nr)
		return 0;
	entry = &front->entries.at[i];
	one.region = region_of(entry);
	fd = is_sent ? -1 : vas_backing_fd(front->vas, entry->backing);
	vas_front_tell(front, action, i,
		       &(struct channel_request){ is_sent ? VHOST_USER_REM_MEM_REG :
							    VHOST_USER_ADD_MEM_REG,
						  sizeof(one), &one, &fd, fd >= 0 });
	return 1;
}

int vas_front_memory_send(struct vas_vhost_user *front)
{
	if (!has_slots(front))
		return vas_front_memory_is_late(front) ? table_send(front) : 0;
	return slot_send(front, FRONT_MEMORY_REMOVE) || slot_send(front, FRONT_MEMORY_ADD);
}

void vas_front_memory_done(struct vas_vhost_user *front, enum front_action action, size_t index)
{
	size_t i;

	if (action != FRONT_MEMORY_TABLE) {
		front->entries.at[index].is_sent = action == FRONT_MEMORY_ADD;
		return;
	}
	for (i = 0; i < front->entries.nr; i++)
		front->entries.at[i].is_sent = front->entries.at[i].is_in_table;
}

void vas_front_memory_clean(struct vas_vhost_user *front)
{
	layout_drop(&front->layout);
	layout_drop(&front->next);
	free(front->entries.at);
}

/* ---- the ops --------------------------------------------------------------------------------- */

/* Rings are told by addresses of their own, and are in use as long as queues are wanted. */
static int check_rings(const struct vas_vhost_user *front, const struct vas_delta *delta)
{
	uint32_t at;

	for (at = 0; at < front->server.nr_queues * RING_NR_PARTS; at++) {
		const struct front_queue *queue = &front->queues[at / RING_NR_PARTS];
		enum ring_part part = at % RING_NR_PARTS;
		const struct vas_region *gone;

		if (!queue->is_wanted && !queue->is_running && !queue->is_draining)
			continue;
		gone = ring_range_gone(
			delta, vas_front_ring_gpa(&queue->queue, part),
			ring_part_size(part, front_is_packed(front), queue->queue.size));
		if (gone)
			return vas_error_set(-EBUSY,
					     "%s: queue %u runs, and its ring is in [%#llx, "
					     "+%#llx) of region %s: stop it first",
					     front->name, at / RING_NR_PARTS,
					     (unsigned long long)gone->gpa,
					     (unsigned long long)gone->size, gone->name);
	}
	return 0;
}

static void forget_next(struct vas_vhost_user *front)
{
	front->is_prepared = 0;
	layout_drop(&front->next);
	entries_purge(front);
}

/* Nothing of what was prepared is wanted. */
static void undo(struct vas_vhost_user *front)
{
	want(front, ENTRIES_PRESENT);
	vas_front_settle(front);
	forget_next(front);
}

static int prepare(struct vas_vhost_user *front, const struct vas_delta *delta)
{
	int err = check_rings(front, delta);

	if (!err)
		err = layout_next(front, delta);
	if (!err)
		err = entries_next(front);
	front->is_prepared = !err;
	if (!err && (has_slots(front) || !any_queue_is_running(front)))
		want_early(front);
	return err;
}

int vas_front_prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
		      uint64_t deadline_ns)
{
	struct vas_vhost_user *front = front_of(consumer);
	int result;

	(void)deadline_ns;
	pthread_mutex_lock(&front->lock);
	result = prepare(front, delta);
	if (!result)
		result = vas_front_step(front, undo);
	else
		forget_next(front);
	pthread_mutex_unlock(&front->lock);
	return result;
}

void vas_front_abort(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct vas_vhost_user *front = front_of(consumer);

	(void)delta;
	pthread_mutex_lock(&front->lock);
	vas_front_step_end(front);
	undo(front);
	pthread_mutex_unlock(&front->lock);
}

void vas_front_memory_follow(struct vas_vhost_user *front)
{
	want(front, front->is_prepared ? ENTRIES_NEXT : ENTRIES_PRESENT);
}

void vas_front_memory_return(struct vas_vhost_user *front)
{
	want(front, ENTRIES_PRESENT);
}

static void present_next(struct vas_vhost_user *front)
{
	size_t i;

	for (i = 0; i < front->entries.nr; i++)
		front->entries.at[i].is_present = front->entries.at[i].is_next;
	want(front, ENTRIES_PRESENT);
}

/* For a successor, which may have room for fewer. */
int vas_front_memory_again(struct vas_vhost_user *front)
{
	const struct vas_delta nothing = { 0 };
	int err = layout_next(front, &nothing);

	front->entries.nr = 0;
	if (!err)
		err = entries_next(front);
	if (!err)
		present_next(front);
	layout_drop(&front->next);
	return err;
}

/* A commit that only removes may come unprepared, when the connection has been closed. */
static int commit(struct vas_vhost_user *front, const struct vas_delta *delta)
{
	int err = 0;

	if (!front->is_prepared)
		err = layout_next(front, delta);
	if (!err && !front->is_prepared)
		err = entries_next(front);
	if (err)
		return err;
	front->is_prepared = 0;
	layout_drop(&front->layout);
	front->layout = front->next;
	front->next = (struct front_layout){ 0 };
	present_next(front);
	vas_front_settle(front);
	entries_purge(front);
	return 0;
}

static int status(const struct vas_vhost_user *front)
{
	return vas_front_memory_is_told(front) ?
		       0 :
		       vas_error_set(-EBUSY, "%s: the back end has not taken the layout",
				     front->name);
}

int vas_front_commit(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct vas_vhost_user *front = front_of(consumer);
	int err;

	pthread_mutex_lock(&front->lock);
	err = commit(front, delta);
	if (!err)
		err = status(front);
	pthread_mutex_unlock(&front->lock);
	return err;
}

int vas_front_retry(struct vas_consumer *consumer)
{
	struct vas_vhost_user *front = front_of(consumer);
	int err;

	pthread_mutex_lock(&front->lock);
	vas_front_settle(front);
	err = status(front);
	pthread_mutex_unlock(&front->lock);
	return err;
}
