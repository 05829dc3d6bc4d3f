// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "lib/dirty/tracking.h"
#include "lib/base/error.h"
#include "lib/access/mapping.h"

static int set_lock(const struct vas *vas, int command, short type, uint64_t offset)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)offset,
		.l_len = 1,
	};

	if (fcntl(vas->lock_fd, command, &lock))
		return -errno;
	return command == F_OFD_GETLK ? lock.l_type != F_UNLCK : 0;
}

int vas_lock_byte(struct vas *vas, uint64_t offset)
{
	int err = set_lock(vas, F_OFD_SETLK, F_WRLCK, offset);

	return err == -EAGAIN || err == -EACCES ? -EBUSY : err;
}

void vas_unlock_byte(struct vas *vas, uint64_t offset)
{
	set_lock(vas, F_OFD_SETLK, F_UNLCK, offset);
}

int vas_byte_is_locked(const struct vas *vas, uint64_t offset)
{
	/*
	 * A read-only description may ask about read locks only; those conflict with write locks.
	 */
	short type = vas->role == VAS_ROLE_OBSERVER ? F_RDLCK : F_WRLCK;

	return set_lock(vas, F_OFD_GETLK, type, offset) == 1;
}

/*
 * Who waits for the owner's end (lib/handle/notify.c) gets a read lock for a moment then: that is
 * no owner, so try again while it is only such a lock that is in the way.
 */
int vas_lock_owner(struct vas *vas)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	int tries, err;

	for (tries = 0; tries < 100; tries++) {
		struct flock lock = {
			.l_type = F_WRLCK,
			.l_whence = SEEK_SET,
			.l_start = (off_t)vas_owner_byte(vas),
			.l_len = 1,
		};

		err = vas_lock_byte(vas, vas_owner_byte(vas));
		if (err != -EBUSY || fcntl(vas->lock_fd, F_OFD_GETLK, &lock) ||
		    lock.l_type == F_WRLCK)
			return err;
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

uint64_t vas_owner_byte(const struct vas *vas)
{
	return vas->sb.file_size - sizeof(vas->sb);
}

uint64_t vas_binder_byte(const struct vas *vas, uint32_t binder)
{
	return vas->sb.extents[VAS_EXT_BINDERS].offset + binder;
}

/*
 * The caller holds the binder's byte, so nobody lives under this index and nobody else cleans it.
 */
static void clean_binder(struct vas *vas, uint32_t binder)
{
	struct vas_slot *slots = vas_slots(vas);
	struct vas_tracker_entry *trackers = vas_extent(vas, VAS_EXT_TRACKERS);
	struct vas_binder *record = &vas_binders(vas)[binder];
	uint32_t i;

	for (i = 0; i < vas->sb.nr_slots; i++) {
		if (__atomic_load_n(&slots[i].binder, __ATOMIC_RELAXED) != binder + 1)
			continue;
		/* It died inside a section: what it wrote there and did not mark, nobody knows. */
		if (__atomic_load_n(&slots[i].generation, __ATOMIC_RELAXED))
			vas_log_set_incomplete(vas);
		__atomic_store_n(&slots[i].generation, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&slots[i].binder, 0, __ATOMIC_RELEASE);
	}
	vas_pins_reclaim(vas, binder);
	for (i = 0; i < vas->sb.nr_trackers; i++) {
		if (__atomic_load_n(&trackers[i].binder, __ATOMIC_RELAXED) != binder + 1)
			continue;
		__atomic_store_n(&trackers[i].state, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&trackers[i].binder, 0, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&record->state, 0, __ATOMIC_RELEASE);
}

static void write_binder(struct vas *vas)
{
	struct vas_binder *record = &vas_binders(vas)[vas->binder];
	char comm[16] = "";

	prctl(PR_GET_NAME, comm);
	record->pid = (uint32_t)getpid();
	record->flags = vas->role == VAS_ROLE_OWNER ? VAS_BINDER_OWNER : 0;
	memcpy(record->comm, comm, sizeof(record->comm));
	__atomic_store_n(&record->state, 1, __ATOMIC_RELEASE);
}

int vas_binder_claim(struct vas *vas)
{
	uint32_t i;

	/* Whether an index is free, its lock decides; the entry's state is a hint. */
	for (i = 0; i < vas->sb.nr_binders; i++) {
		int err = vas_lock_byte(vas, vas_binder_byte(vas, i));

		if (err == -EBUSY)
			continue;
		if (err)
			return vas_error_set(err, "cannot lock a byte of the binder table: %s",
					     strerror(-err));
		clean_binder(vas, i);
		vas->binder = i;
		write_binder(vas);
		return 0;
	}
	return vas_error_set(-EAGAIN,
			     "all %u binder slots of this vas are taken by living processes",
			     vas->sb.nr_binders);
}

void vas_binder_release(struct vas *vas)
{
	if (vas->binder == NO_BINDER)
		return;
	clean_binder(vas, vas->binder);
	vas_unlock_byte(vas, vas_binder_byte(vas, vas->binder));
	vas->binder = NO_BINDER;
}

int vas_reclaim_binder(struct vas *vas, uint32_t binder)
{
	/*
	 * The threads of a process share one description, to which its own locks are no obstacle: a
	 * second one would clean on, after the first had unlocked, what is somebody's again.
	 */
	int dead = 0;

	if (binder >= vas->sb.nr_binders || binder == vas->binder)
		return 0;
	pthread_mutex_lock(&vas->reclaim);
	if (!vas_lock_byte(vas, vas_binder_byte(vas, binder))) {
		clean_binder(vas, binder);
		vas_unlock_byte(vas, vas_binder_byte(vas, binder));
		dead = 1;
	}
	pthread_mutex_unlock(&vas->reclaim);
	return dead;
}

int vas_reclaim_dead(struct vas *vas)
{
	int nr = 0;
	uint32_t i;

	for (i = 0; i < vas->sb.nr_binders; i++)
		if (__atomic_load_n(&vas_binders(vas)[i].state, __ATOMIC_ACQUIRE))
			nr += vas_reclaim_binder(vas, i);
	return nr;
}
