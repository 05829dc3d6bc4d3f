// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What a handle can tell of its vas. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/layout.h"
#include "lib/access/view.h"
#include "lib/dirty/tracking.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/events/event.h"
#include "lib/handle/file.h"
#include "lib/handle/lock.h"
#include "lib/handle/notify.h"

int vas_fd(const struct vas *vas)
{
	return vas->fd;
}

int vas_lock_fd(const struct vas *vas)
{
	return vas->lock_fd;
}

int vas_readonly_fd(const struct vas *vas)
{
	NO_CANCEL;
	return vas_file_reopen(vas->fd, O_RDONLY);
}

int vas_notifications(struct vas *vas)
{
	int err = vas_notify_drain(vas);

	if (err)
		return err;
	vas_tracking_serve(vas);
	return vas_notify_collect(vas);
}

/*
 * Of the living, as far as they can be found in a scan's time: a peer that has filled the tables,
 * or holds very many locks, makes the counts too low.
 */
static void count(struct vas *vas, struct vas_info *info)
{
	struct vas_binder_about about;
	struct vas_scan scan;
	uint32_t i;

	vas_scan_begin(&scan, &vas->proto, 0);
	for (i = 0; vas_binder_next(&scan, &i, &about); i++) {
		info->nr_binders++;
		/*
		 * What the owner says that it has attached: informational, as are processes' names.
		 */
		if (about.flags & VAS_BINDER_OWNER && info->owner_pid)
			memcpy(info->consumers, about.consumers, sizeof(info->consumers));
	}
	info->nr_threads = vas_slots_count(&scan);
	info->nr_pins = vas_pins_count(&scan);
	info->nr_events = vas_event_count(vas);
}

int vas_info(struct vas *vas, struct vas_info *info)
{
	NO_CANCEL;
	const struct vas_superblock *sb = &vas->sb;
	int err;

	memset(info, 0, sizeof(*info));
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
	if (vas_owner_lives(vas))
		info->owner_pid = __atomic_load_n(&vas->ctl->owner_pid, __ATOMIC_RELAXED);
	count(vas, info);
	return 0;
}
