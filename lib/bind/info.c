// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a handle can tell of its vas. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/layout.h"
#include "lib/base/error.h"
#include "lib/events/event.h"
#include "lib/handle/file.h"
#include "lib/handle/lock.h"
#include "lib/access/view.h"

int vas_fd(const struct vas *vas)
{
	return vas->fd;
}

int vas_readonly_fd(const struct vas *vas)
{
	return vas_file_reopen(vas->fd, O_RDONLY);
}

static uint32_t count_binders(struct vas *vas)
{
	const struct vas_binder *binders = vas_binders(vas);
	uint32_t i, nr = 0;

	for (i = 0; i < vas->sb.nr_binders; i++)
		nr += i == vas->binder || (__atomic_load_n(&binders[i].state, __ATOMIC_RELAXED) &&
					   vas_byte_is_locked(vas, vas_binder_byte(vas, i)));
	return nr;
}

/* What the owner says that it has attached: informational, like the names of processes. */
static void copy_consumers(struct vas *vas, char consumers[VAS_CONSUMERS_LEN])
{
	const struct vas_binder *binders = vas_binders(vas);
	uint32_t i;

	for (i = 0; i < vas->sb.nr_binders; i++) {
		if (!(__atomic_load_n(&binders[i].flags, __ATOMIC_RELAXED) & VAS_BINDER_OWNER))
			continue;
		if (i != vas->binder && !vas_byte_is_locked(vas, vas_binder_byte(vas, i)))
			continue;
		memcpy(consumers, binders[i].consumers, VAS_CONSUMERS_LEN);
		consumers[VAS_CONSUMERS_LEN - 1] = '\0';
		return;
	}
}

static void count(struct vas *vas, struct vas_info *info)
{
	uint32_t i;

	info->nr_binders = count_binders(vas);
	for (i = 0; i < vas->sb.nr_slots; i++)
		info->nr_threads += !!__atomic_load_n(&vas_slots(vas)[i].binder, __ATOMIC_RELAXED);
	for (i = 0; i < vas_pins_end(vas->ctl, vas->sb.nr_pins); i++)
		info->nr_pins += !!__atomic_load_n(&vas_pins(vas)[i].binder, __ATOMIC_RELAXED);
	info->nr_events = vas_event_count(vas);
}

int vas_info(struct vas *vas, struct vas_info *info)
{
	const struct vas_superblock *sb = &vas->sb;
	int err;

	memset(info, 0, sizeof(*info));
	/* So that the dead are not counted; binders leave that to the owner. */
	if (vas->role == VAS_ROLE_OWNER)
		vas_reclaim_dead(vas);
	pthread_mutex_lock(&vas->lock);
	err = vas_view_refresh(vas);
	if (!err) {
		info->generation = vas->view->state.generation;
		info->nr_regions = vas->view->set->nr;
		info->nr_backings = vas->view->state.nr_backings;
		info->state_flags = vas->view->state.flags;
		info->has_window = !!vas->view->window;
	}
	pthread_mutex_unlock(&vas->lock);
	if (err)
		return err;
	memcpy(info->name, sb->name, sizeof(info->name));
	memcpy(info->uuid, sb->uuid, sizeof(info->uuid));
	info->file_size = sb->file_size;
	info->ram_size = sb->ram_size;
	info->limit = sb->limit;
	info->page_size = sb->page_size;
	info->owner_epoch = __atomic_load_n(&vas->ctl->owner_epoch, __ATOMIC_RELAXED);
	info->role = vas->role;
	if (__atomic_load_n(&vas->ctl->lazy_log, __ATOMIC_RELAXED))
		info->nr_lazy = __atomic_load_n(&vas->ctl->lazy_left, __ATOMIC_RELAXED);
	if (vas->role == VAS_ROLE_OWNER || vas_byte_is_locked(vas, vas_owner_byte(vas)))
		info->owner_pid = __atomic_load_n(&vas->ctl->owner_pid, __ATOMIC_RELAXED);
	if (info->owner_pid)
		copy_consumers(vas, info->consumers);
	count(vas, info);
	return 0;
}

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
