// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "proto.h"

#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "binding.h"
#include "../compat/compat.h"
#include "dirty.h"

/* In how many parts a dead holder's pin may be marked: of 128 MiB each. */
#define MAX_MARKED_CHUNKS 8192

static struct vas *vas_of(struct vas_proto *proto)
{
	return container_of(proto, struct vas, proto);
}

static int set_lock(struct vas_proto *proto, u64 at, int type)
{
	struct file *file = vas_of(proto)->backings[0].file;
	struct file_lock lock;

	vas_compat_ofd_lock(&lock, file, type);
	lock.fl_start = at;
	lock.fl_end = at;
	return vfs_lock_file(file, F_SETLK, &lock, NULL);
}

static int lock_byte(struct vas_proto *proto, u64 at)
{
	int err = set_lock(proto, at, F_WRLCK);

	return err == -EAGAIN || err == -EACCES ? -EBUSY : err;
}

static void unlock_byte(struct vas_proto *proto, u64 at)
{
	set_lock(proto, at, F_UNLCK);
}

/* A lock for reading stands against locks for writing only. */
static bool byte_is_locked(struct vas_proto *proto, u64 at)
{
	struct file *file = vas_of(proto)->backings[0].file;
	struct file_lock lock;

	vas_compat_ofd_lock(&lock, file, F_RDLCK);
	lock.fl_start = at;
	lock.fl_end = at;
	return !vfs_test_lock(file, &lock) && vas_compat_lock_type(&lock) != F_UNLCK;
}

static u64 now_ns(void)
{
	return ktime_get_ns();
}

static void yield_cpu(void)
{
	cond_resched();
}

static int mark(struct vas_proto *proto, u64 gpa, u64 len)
{
	u32 allowance = MAX_MARKED_CHUNKS;

	return vas_dirty_mark_left(vas_of(proto), gpa, len, &allowance);
}

static int copy(struct vas_proto *proto, void *to, u64 offset, u64 size)
{
	return vas_backing_read(&vas_of(proto)->backings[0], offset, to, size);
}

static const struct vas_proto_ops ops = {
	.lock = lock_byte,
	.unlock = unlock_byte,
	.is_locked = byte_is_locked,
	.now_ns = now_ns,
	.yield = yield_cpu,
	.mark = mark,
	.copy = copy,
};

/* The windows are open. No trackers: nobody harvests here. */
void vas_proto_init(struct vas *vas)
{
	vas->proto = (struct vas_proto){
		.ops = &ops,
		.sb = vas->sb,
		.control = vas->control,
		.slots = vas->slots_window.addr,
		.binders = vas->binders_window.addr,
		.pins = vas->pins_window.addr,
		.index = VAS_NO_ENTRY,
	};
}

/* Become one of the file's binders. -EAGAIN: as many as there can be are alive. May sleep. */
int vas_proto_join(struct vas *vas)
{
	struct vas_binder_about about = { .pid = current->tgid };

	vas->pid = current->tgid;
	strscpy(about.comm, vas->ops->name, sizeof(about.comm));
	return vas_binder_claim(&vas->proto, &about, (u32)ktime_get_ns());
}

/*
 * The owner's lock, on the superblock's first byte, is held, and this process has taken it. A
 * request to read stands against write locks only: others have read locks there for a moment.
 */
bool vas_current_owns(struct file *file, u64 superblock_offset)
{
	struct file_lock lock;

	vas_compat_ofd_lock(&lock, file, F_RDLCK);
	/* In nobody's name, so that a lock of this very file counts, too. */
	vas_compat_lock_owner(&lock, &lock);
	lock.fl_start = superblock_offset;
	lock.fl_end = superblock_offset;
	return !vfs_test_lock(file, &lock) && vas_compat_lock_type(&lock) == F_WRLCK &&
	       vas_compat_lock_pid(&lock) == current->tgid;
}
