// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "core/protocol/protocol.h"

#define NAP_NS	  1000000
#define MAX_TRIES 50

static struct flock one_byte(short type, uint64_t offset)
{
	return (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)offset,
		.l_len = 1,
	};
}

int vas_lock_byte(struct vas *vas, uint64_t offset)
{
	struct flock lock = one_byte(F_WRLCK, offset);

	if (!fcntl(vas->lock_fd, F_OFD_SETLK, &lock))
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

void vas_unlock_byte(struct vas *vas, uint64_t offset)
{
	struct flock lock = one_byte(F_UNLCK, offset);

	fcntl(vas->lock_fd, F_OFD_SETLK, &lock);
}

bool vas_byte_is_locked(const struct vas *vas, uint64_t offset)
{
	/* A lock for reading would stand against locks for writing only. */
	struct flock lock = one_byte(F_RDLCK, offset);

	return !fcntl(vas->lock_fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

uint64_t vas_owner_byte(const struct vas *vas)
{
	return vas->sb.file_size - sizeof(vas->sb);
}

/*
 * Who waits for the owner's end (lib/handle/notify.c) gets a read lock for a moment when it comes:
 * wait for that to pass. An observer that stays there is no owner and keeps nobody from it: 1,
 * without the lock.
 */
static int lock_or_pass_readers(struct vas *vas)
{
	struct timespec nap = { .tv_nsec = NAP_NS };
	int tries, err;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		err = vas_lock_byte(vas, vas_owner_byte(vas));
		if (err != -EBUSY || vas_byte_is_locked(vas, vas_owner_byte(vas)))
			return err;
		nanosleep(&nap, NULL);
	}
	return 1;
}

int vas_lock_owner(struct vas *vas)
{
	uint32_t *word = &vas->ctl->owner;
	uint32_t tag = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	struct vas_scan scan;
	int err = lock_or_pass_readers(vas);

	if (err < 0)
		return err;
	vas_scan_begin(&scan, &vas->proto, 0);
	/* One that owns without the lock, as readers kept it from that, or another adopter. */
	if ((tag == vas->proto.tag || !vas_tag_is_alive(&scan, tag)) &&
	    __atomic_compare_exchange_n(word, &tag, vas->proto.tag, 0, __ATOMIC_ACQ_REL,
					__ATOMIC_RELAXED))
		return 0;
	if (!err)
		vas_unlock_byte(vas, vas_owner_byte(vas));
	return -EBUSY;
}

void vas_unlock_owner(struct vas *vas)
{
	__atomic_store_n(&vas->ctl->owner, VAS_NO_TAG, __ATOMIC_RELEASE);
	vas_unlock_byte(vas, vas_owner_byte(vas));
}

int vas_owner_check(const struct vas *vas, const char *does)
{
	if (vas->role != VAS_ROLE_OWNER)
		return vas_error_set(-EPERM, "only the owner of a vas %s", does);
	if (vas->is_share)
		return vas_error_set(-EPERM, "a share follows its parent: the parent %s", does);
	return 0;
}

bool vas_owner_lives(struct vas *vas)
{
	struct vas_scan scan;

	if (vas->role == VAS_ROLE_OWNER || vas_byte_is_locked(vas, vas_owner_byte(vas)))
		return true;
	vas_scan_begin(&scan, &vas->proto, 0);
	return vas_tag_is_alive(&scan, __atomic_load_n(&vas->ctl->owner, __ATOMIC_ACQUIRE));
}
