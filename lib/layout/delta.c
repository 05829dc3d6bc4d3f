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

/* What of `old` is gone, given what is now at its gpa (NULL: nothing begins there). */
static void add_gone(struct delta *delta, const struct vas_region *old,
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
	delta->gone[delta->nr_gone++] = gone;
}

int vas_delta_init(struct delta *delta, const struct vas_region *old, size_t nr_old,
		   const struct vas_region *new, size_t nr_new)
{
	struct vas_region *removed, *added;
	size_t i = 0, j = 0, nr_removed = 0, nr_added = 0;

	*delta = (struct delta){ 0 };
	delta->memory = calloc(nr_old * 2 + nr_new + 1, sizeof(*delta->memory));
	if (!delta->memory)
		return vas_error_set(-ENOMEM, "no memory to compare two layouts");
	removed = delta->memory;
	delta->gone = removed + nr_old;
	added = delta->gone + nr_old;
	while (i < nr_old || j < nr_new) {
		bool from_old = i < nr_old && (j == nr_new || old[i].gpa <= new[j].gpa);
		bool from_new = j < nr_new && (i == nr_old || new[j].gpa <= old[i].gpa);

		if (!(from_old && from_new && same_place(&old[i], &new[j]) &&
		      old[i].size == new[j].size)) {
			if (from_old) {
				removed[nr_removed++] = old[i];
				add_gone(delta, &old[i], from_new ? &new[j] : NULL);
			}
			if (from_new)
				added[nr_added++] = new[j];
		}
		i += from_old;
		j += from_new;
	}
	delta->head = (struct vas_delta){ removed, nr_removed, added, nr_added };
	return 0;
}

void vas_delta_clean(struct delta *delta)
{
	free(delta->memory);
}
