// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The life of a handle: create, bind, adopt, unbind, destroy. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/layout.h"
#include "lib/access/view.h"
#include "lib/access/window.h"
#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/bus/bus.h"
#include "lib/events/event.h"
#include "lib/handle/barrier.h"
#include "lib/handle/cleanup.h"
#include "lib/handle/file.h"
#include "lib/handle/lock.h"
#include "lib/handle/notify.h"
#include "lib/handle/sigbus.h"
#include "lib/handle/thread.h"
#include "lib/layout/adopt.h"
#include "lib/layout/publish.h"
#include "lib/layout/stale.h"

#define DEFAULT_REGIONS	     32768
#define DEFAULT_HUGE_REGIONS 4096
#define DEFAULT_SLOTS	     4096
#define NR_BINDERS	     1024
#define NR_PINS		     4096
#define NR_TRACKERS	     4
#define NR_DEVICES	     32
#define CREATE_KNOWN                                                                   \
	(VAS_CREATE_HUGETLB | VAS_CREATE_THP | VAS_CREATE_RESERVE | VAS_CREATE_FENCE | \
	 VAS_CREATE_DUMP | VAS_CREATE_RAM_APART)
#define BIND_KNOWN                                                                     \
	(VAS_BIND_OBSERVE | VAS_BIND_ADOPT | VAS_BIND_NO_WINDOW | VAS_BIND_NO_SIGBUS | \
	 VAS_BIND_FENCE | VAS_BIND_DUMP | VAS_BIND_PLAIN_FILES)

static struct vas *handle_new(uint32_t bind_flags)
{
	struct vas *vas = calloc(1, sizeof(*vas));
	uint32_t i;

	if (!vas) {
		vas_error_set(-ENOMEM, "no memory for a handle");
		return NULL;
	}
	vas->bind_flags = bind_flags;
	vas->fd = vas->lock_fd = vas->control_watch = -1;
	vas->proto.index = VAS_NO_ENTRY;
	for (i = 0; i < VAS_MAX_BACKINGS; i++)
		vas->backings[i].fd = -1;
	pthread_mutex_init(&vas->lock, NULL);
	pthread_mutex_init(&vas->change, NULL);
	pthread_mutex_init(&vas->drain, NULL);
	vas_event_set_init(&vas->events);
	/*
	 * A fork in another thread must find it, however little of it is there yet:
	 * lib/handle/thread.c.
	 */
	if (vas_handle_register(vas)) {
		free(vas);
		return NULL;
	}
	return vas;
}

/* What a handle has, whatever part of it was made: also the way out of a failed bind. */
static void handle_free(struct vas *vas)
{
	uint32_t i;

	vas_threads_end(vas);
	vas_notify_stop(vas);
	vas_view_free_all(vas);
	vas_event_set_clean(&vas->events);
	bus_free(vas);
	for (i = !vas_has_ram_apart(vas); i < VAS_MAX_BACKINGS; i++)
		vas_backing_close(&vas->backings[i]);
	if (vas->control && vas->lock_fd >= 0)
		vas_binder_release(&vas->proto);
	vas_control_unmap(vas);
	vas_handle_unregister(vas);
	if (vas->fd >= 0)
		close(vas->fd);
	free(vas->own.regions);
	vas_stale_free(&vas->stale);
	pthread_mutex_destroy(&vas->lock);
	pthread_mutex_destroy(&vas->change);
	pthread_mutex_destroy(&vas->drain);
	free(vas);
}

static int init_process(struct vas *vas)
{
	int err = vas_fault_init(vas);

	if (!err && vas_barrier_register()) {
		vas->bind_flags |= VAS_BIND_FENCE;
		vas->no_barrier = 1;
	}
	/* Observers always take the checked path; see vas_copy_slow(). */
	vas->head.nr_failed = vas->role == VAS_ROLE_OBSERVER;
	return err;
}

/* vas->fd is open and the superblock checked: map, lock, join. */
static int handle_open(struct vas *vas)
{
	int err = init_process(vas);

	if (err)
		return err;
	err = vas_control_map(vas);
	if (err)
		return err;
	/* A child must know of it at once, or it keeps our locks: before_fork(). */
	pthread_mutex_lock(&vas->lock);
	vas->lock_fd = vas_file_reopen(vas->fd, vas->role == VAS_ROLE_OBSERVER ? O_RDONLY : O_RDWR);
	pthread_mutex_unlock(&vas->lock);
	if (vas->lock_fd < 0)
		return vas->lock_fd;
	if (!vas_has_ram_apart(vas))
		vas->backings[0].fd = vas->fd;
	if (vas->role == VAS_ROLE_OBSERVER)
		return 0;
	return vas_binder_join(vas);
}

/* ---- create ------------------------------------------------------------------------------- */

static int check_options(const struct vas_options *options)
{
	uint64_t page = options->flags & VAS_CREATE_HUGETLB ? 2ull << 20 : VAS_PAGE_SIZE;
	unsigned int i;

	if (options->flags & ~CREATE_KNOWN)
		return vas_error_set(-EINVAL, "unknown flags %#x in the options", options->flags);
	for (i = 0; i < sizeof(options->reserved) / sizeof(options->reserved[0]); i++)
		if (options->reserved[i])
			return vas_error_set(-EINVAL, "reserved fields of the options must be 0");
	if (!options->limit || options->limit > VAS_MAX_GPA || options->limit % page)
		return vas_error_set(-EINVAL,
				     "limit must be a multiple of %llu up to 2^52, not %llu",
				     (unsigned long long)page, (unsigned long long)options->limit);
	if (options->ram_size > VAS_MAX_GPA || options->ram_size % page)
		return vas_error_set(
			-EINVAL, "ram_size must be a multiple of %llu up to 2^52, not %llu",
			(unsigned long long)page, (unsigned long long)options->ram_size);
	if (options->max_regions > VAS_MAX_REGIONS)
		return vas_error_set(-EINVAL, "max_regions must be up to %u, not %u",
				     VAS_MAX_REGIONS, options->max_regions);
	if (options->nr_slots > VAS_MAX_SLOTS)
		return vas_error_set(-EINVAL, "nr_slots must be up to %u, not %u", VAS_MAX_SLOTS,
				     options->nr_slots);
	if (options->name && strlen(options->name) >= VAS_NAME_LEN)
		return vas_error_set(-EINVAL, "a name has at most %d bytes", VAS_NAME_LEN - 1);
	return 0;
}

static int set_uuid(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		return vas_error_set(-EIO, "cannot get random bytes for a uuid: %s",
				     strerror(errno));
	uuid[6] = (uuid[6] & 0x0f) | 0x40; /* RFC 4122: version 4, */
	uuid[8] = (uuid[8] & 0x3f) | 0x80; /* variant 1 */
	return 0;
}

static int plan_superblock(struct vas *vas, const struct vas_options *options)
{
	int huge = options->flags & VAS_CREATE_HUGETLB;
	struct vas_superblock *sb = &vas->sb;
	int err;

	sb->page_size = huge ? 2u << 20 : VAS_PAGE_SIZE;
	sb->limit = options->limit;
	sb->ram_size = options->ram_size ? options->ram_size : options->limit;
	sb->max_regions = options->max_regions ? options->max_regions :
			  huge		       ? DEFAULT_HUGE_REGIONS :
						 DEFAULT_REGIONS;
	sb->nr_slots = options->nr_slots ? options->nr_slots : DEFAULT_SLOTS;
	sb->nr_binders = NR_BINDERS;
	sb->nr_pins = NR_PINS;
	sb->nr_events = VAS_MAX_EVENTS;
	sb->nr_backings = VAS_MAX_BACKINGS;
	sb->nr_trackers = NR_TRACKERS;
	/* Devices have much room and touch little of it: in huge pages it would be memory. */
	if (!huge) {
		sb->nr_devices = NR_DEVICES;
		sb->features_optional |= VAS_FEATURE_DEVICES;
	}
	if (options->flags & VAS_CREATE_RAM_APART)
		sb->features_required |= VAS_FEATURE_RAM_APART;
	if (options->flags & VAS_CREATE_THP)
		sb->features_optional |= VAS_FEATURE_THP;
	if (options->name)
		memcpy(sb->name, options->name, strlen(options->name));
	err = set_uuid(sb->uuid);
	if (err)
		return err;
	err = vas_superblock_plan(sb);
	return err ? vas_error_set(err, "a vas of these sizes cannot be laid out in a file") : 0;
}

static void describe_ram(struct vas *vas)
{
	struct vas_backing_entry *entry = &vas->backings[0].entry;

	memset(entry, 0, sizeof(*entry));
	vas_file_describe(vas->backings[0].fd, entry);
	entry->size = vas->sb.ram_size;
	entry->page_size = vas->sb.page_size;
}

static int lock_ownership(struct vas *vas)
{
	int err = vas_lock_owner(vas);

	if (err == -EBUSY)
		return vas_error_set(err, "the vas has a living owner (pid %u, by its own word)",
				     vas->ctl->owner_pid);
	return err ? vas_error_set(err, "cannot lock the superblock: %s", strerror(-err)) : 0;
}

static int create(struct vas *vas, const struct vas_options *options)
{
	int err = plan_superblock(vas, options);

	if (err)
		return err;
	vas->role = VAS_ROLE_BINDER;
	err = vas_file_create(vas);
	if (err)
		return err;
	if (vas_has_ram_apart(vas))
		err = vas_ram_create(vas);
	if (!err)
		err = handle_open(vas);
	if (err)
		return err;
	describe_ram(vas);
	err = lock_ownership(vas);
	return err ? err : vas_publish_first(vas);
}

static int finish(struct vas *vas, struct vas **out)
{
	int err;

	pthread_mutex_lock(&vas->lock);
	err = vas_view_refresh(vas);
	pthread_mutex_unlock(&vas->lock);
	if (err) {
		handle_free(vas);
		return err;
	}
	*out = vas;
	return 0;
}

int vas_create(const struct vas_options *options, struct vas **out)
{
	NO_CANCEL;
	struct vas *vas;
	int err = check_options(options);

	if (err)
		return err;
	vas = handle_new((options->flags & VAS_CREATE_FENCE ? VAS_BIND_FENCE : 0) |
			 (options->flags & VAS_CREATE_DUMP ? VAS_BIND_DUMP : 0));
	if (!vas)
		return -ENOMEM;
	vas->create_flags = options->flags;
	err = create(vas, options);
	if (err) {
		handle_free(vas);
		return err;
	}
	return finish(vas, out);
}

/* ---- bind, adopt -------------------------------------------------------------------------- */

static int open_for_role(struct vas *vas, int fd)
{
	int mode = fcntl(fd, F_GETFL);

	if (mode < 0)
		return vas_error_set(-errno, "fd %d: %s", fd, strerror(errno));
	if (mode & O_PATH || (mode & O_ACCMODE) == O_WRONLY)
		return vas_error_set(-EBADF, "fd %d cannot be read from", fd);
	vas->role = VAS_ROLE_BINDER;
	if (vas->bind_flags & VAS_BIND_OBSERVE || (mode & O_ACCMODE) == O_RDONLY)
		vas->role = VAS_ROLE_OBSERVER;
	if (vas->role == VAS_ROLE_OBSERVER && vas->bind_flags & VAS_BIND_ADOPT)
		return vas_error_set(-EPERM, "an observer cannot own a vas: the fd is read-only");
	vas->fd = vas_file_reopen(fd, vas->role == VAS_ROLE_OBSERVER ? O_RDONLY : O_RDWR);
	return vas->fd < 0 ? vas->fd : 0;
}

static int adopt(struct vas *vas)
{
	int err = vas_barrier_reaches(vas);

	if (!err)
		err = lock_ownership(vas);
	if (err)
		return err;
	err = vas_publish_adopted(vas);
	if (err)
		vas_unlock_owner(vas);
	return err;
}

static int bind_fd(struct vas *vas, int fd)
{
	int err;

	if (vas->bind_flags & ~BIND_KNOWN)
		return vas_error_set(-EINVAL, "unknown bind flags %#x", vas->bind_flags);
	err = vas_file_check(vas, fd);
	if (err)
		return err;
	err = open_for_role(vas, fd);
	if (err)
		return err;
	err = handle_open(vas);
	if (err)
		return err;
	/* One that is apart is in the table. */
	if (!vas_has_ram_apart(vas))
		describe_ram(vas);
	return vas->bind_flags & VAS_BIND_ADOPT ? adopt(vas) : 0;
}

int vas_bind(int fd, uint32_t flags, struct vas **out)
{
	NO_CANCEL;
	struct vas *vas = handle_new(flags);
	int err;

	if (!vas)
		return -ENOMEM;
	err = bind_fd(vas, fd);
	if (err) {
		handle_free(vas);
		return err;
	}
	return finish(vas, out);
}

int vas_adopt(struct vas *vas)
{
	int err;

	if (vas->role == VAS_ROLE_OBSERVER)
		return vas_error_set(-EPERM, "an observer cannot own a vas");
	err = adopt(vas);
	if (err)
		return err;
	pthread_mutex_lock(&vas->lock);
	err = vas_view_refresh(vas);
	pthread_mutex_unlock(&vas->lock);
	return err;
}

/* ---- the end ------------------------------------------------------------------------------ */

void vas_unbind(struct vas *vas)
{
	NO_CANCEL;
	if (!vas)
		return;
	while (vas->consumers)
		vas_consumer_detach(vas->consumers);
	vas_cleanups_run(vas);
	vas_threads_end(vas);
	if (vas->role == VAS_ROLE_OWNER) {
		vas->ctl->owner_pid = 0;
		vas_notify_everyone(vas);
	}
	handle_free(vas);
}

void vas_destroy(struct vas *vas)
{
	NO_CANCEL;
	if (!vas)
		return;
	while (vas->consumers)
		vas_consumer_detach(vas->consumers);
	if (vas->role == VAS_ROLE_OWNER)
		vas_publish_last(vas);
	vas_unbind(vas);
}
