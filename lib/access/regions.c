// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The layout as this process sees it. */
#include <errno.h>
#include <string.h>

#include "lib/access/view.h"

ssize_t vas_regions(struct vas *vas, struct vas_region *regions, size_t nr)
{
	ssize_t total;

	pthread_mutex_lock(&vas->lock);
	total = vas_view_refresh(vas);
	if (!total) {
		const struct region_set *set = vas->view->set;

		total = set->nr;
		nr = nr < set->nr ? nr : set->nr;
		if (nr)
			memcpy(regions, set->regions, nr * sizeof(*regions));
	}
	pthread_mutex_unlock(&vas->lock);
	return total;
}

int vas_region_at(struct vas *vas, uint64_t gpa, struct vas_region *region)
{
	const struct vas_region_map_entry *e;
	int err;

	pthread_mutex_lock(&vas->lock);
	err = vas_view_refresh(vas);
	e = err ? NULL : vas_region_map_find(&vas->view->map, gpa);
	if (e)
		*region = vas->view->set->regions[e->region];
	else if (!err)
		err = -ENOENT;
	pthread_mutex_unlock(&vas->lock);
	return err;
}

int vas_region_by_id(struct vas *vas, uint64_t id, struct vas_region *region)
{
	uint32_t i;
	int err;

	pthread_mutex_lock(&vas->lock);
	err = vas_view_refresh(vas);
	for (i = 0; !err && i < vas->view->set->nr; i++)
		if (vas->view->set->regions[i].id == id)
			break;
	if (!err && i < vas->view->set->nr)
		*region = vas->view->set->regions[i];
	else if (!err)
		err = -ENOENT;
	pthread_mutex_unlock(&vas->lock);
	return err;
}
