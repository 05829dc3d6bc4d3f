// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/layout/delta.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/base/error.h"

static bool same_place(const struct vas_region *a, const struct vas_region *b)
{
	return a->id == b->id && a->gpa == b->gpa && a->offset == b->offset &&
	       a->backing == b->backing && a->flags == b->flags && a->hva == b->hva;
}

/* A list of regions that is being made, at the end of the array that is free still. */
struct list {
	struct vas_region *regions;
	size_t nr;
};

static void append(struct list *list, const struct vas_region *region)
{
	list->regions[list->nr++] = *region;
}

/* What of `old` is gone, given what is now at its gpa (NULL: nothing begins there). */
static void append_gone(struct list *list, const struct vas_region *old,
			const struct vas_region *new)
{
	struct vas_region gone = *old;

	if (new &&same_place(old, new)) {
		if (new->size >= old->size)
			return;
		gone.gpa += new->size;
		gone.offset += new->size;
		gone.size -= new->size;
	}
	append(list, &gone);
}

/* The regions that are RAM, to where *room points, which moves up; all as they are if all are. */
static const struct vas_region *filter(const struct vas_region *regions, size_t *nr,
				       struct vas_region **room)
{
	struct list ram = { *room, 0 };
	size_t i;

	for (i = 0; i < *nr; i++)
		if (!(regions[i].flags & VAS_REGION_DEVICE))
			append(&ram, &regions[i]);
	if (ram.nr == *nr)
		return regions;
	*nr = ram.nr;
	*room += ram.nr;
	return ram.regions;
}

static void filter_all(struct delta *delta, struct vas_region *room)
{
	struct vas_delta *ram = &delta->ram;

	*ram = delta->head;
	ram->removed = filter(ram->removed, &ram->nr_removed, &room);
	ram->added = filter(ram->added, &ram->nr_added, &room);
	ram->gone = filter(ram->gone, &ram->nr_gone, &room);
}

int vas_delta_init(struct delta *delta, const struct vas_region *old, size_t nr_old,
		   const struct vas_region *new, size_t nr_new)
{
	size_t i = 0, j = 0, most = nr_old * 2 + nr_new;
	struct list removed, gone, added;

	*delta = (struct delta){ 0 };
	delta->memory = calloc(most * 2 + 1, sizeof(*delta->memory));
	if (!delta->memory)
		return vas_error_set(-ENOMEM, "no memory to compare two layouts");
	removed = (struct list){ delta->memory, 0 };
	gone = (struct list){ removed.regions + nr_old, 0 };
	added = (struct list){ gone.regions + nr_old, 0 };
	while (i < nr_old || j < nr_new) {
		bool from_old = i < nr_old && (j == nr_new || old[i].gpa <= new[j].gpa);
		bool from_new = j < nr_new && (i == nr_old || new[j].gpa <= old[i].gpa);

		if (!(from_old && from_new && same_place(&old[i], &new[j]) &&
		      old[i].size == new[j].size)) {
			if (from_old) {
				append(&removed, &old[i]);
				append_gone(&gone, &old[i], from_new ? &new[j] : NULL);
			}
			if (from_new)
				append(&added, &new[j]);
		}
		i += from_old;
		j += from_new;
	}
	delta->head = (struct vas_delta){ removed.regions, removed.nr,	 added.regions,
					  added.nr,	   gone.regions, gone.nr };
	filter_all(delta, delta->memory + most);
	return 0;
}

void vas_delta_clean(struct delta *delta)
{
	free(delta->memory);
}
