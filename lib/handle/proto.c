// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/proto.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/handle/lock.h"

static struct vas *vas_of(struct vas_proto *proto)
{
	return (struct vas *)((char *)proto - offsetof(struct vas, proto));
}

static int lock(struct vas_proto *proto, uint64_t offset)
{
	return vas_lock_byte(vas_of(proto), offset);
}

static void unlock(struct vas_proto *proto, uint64_t offset)
{
	vas_unlock_byte(vas_of(proto), offset);
}

static bool is_locked(struct vas_proto *proto, uint64_t offset)
{
	return vas_byte_is_locked(vas_of(proto), offset);
}

/* A process is preempted without asking for it. */
static void yield(void)
{
}

static int mark(struct vas_proto *proto, uint64_t gpa, uint64_t len)
{
	vas_log_mark_again(&vas_of(proto)->log, gpa, len);
	return 0;
}

/*
 * By the file, not the map: looking at a hole in a map fills it, and a page that fails is an error.
 */
static int copy(struct vas_proto *proto, void *to, uint64_t offset, uint64_t size)
{
	ssize_t nr = 0;
	uint64_t done;

	for (done = 0; done < size; done += (uint64_t)nr) {
		nr = pread(vas_of(proto)->lock_fd, (char *)to + done, size - done,
			   (off_t)(offset + done));
		if (nr < 0 && errno == EINTR)
			nr = 0;
		else if (nr <= 0)
			return -EIO;
	}
	return 0;
}

static const struct vas_proto_ops ops = {
	.lock = lock,
	.unlock = unlock,
	.is_locked = is_locked,
	.now_ns = vas_now_ns,
	.yield = yield,
	.mark = mark,
	.copy = copy,
};

void vas_proto_init(struct vas *vas)
{
	vas->proto = (struct vas_proto){
		.ops = &ops,
		.sb = &vas->sb,
		.control = vas->ctl,
		.slots = vas_extent(vas, VAS_EXT_SLOTS),
		.binders = vas_extent(vas, VAS_EXT_BINDERS),
		.pins = vas_extent(vas, VAS_EXT_PINS),
		.trackers = vas_extent(vas, VAS_EXT_TRACKERS),
		.index = VAS_NO_ENTRY,
	};
}

int vas_binder_join(struct vas *vas)
{
	struct vas_binder_about about = {
		.pid = (uint32_t)getpid(),
		.flags = vas->role == VAS_ROLE_OWNER ? VAS_BINDER_OWNER : 0,
	};
	int err;

	prctl(PR_GET_NAME, about.comm);
	err = vas_binder_claim(&vas->proto, &about, (uint32_t)vas_now_ns());
	if (err == -EAGAIN)
		return vas_error_set(err,
				     "all %u binder slots of this vas are taken, or an "
				     "observer keeps them locked",
				     vas->sb.nr_binders);
	return err ? vas_error_set(err, "cannot lock a byte of the binder table: %s",
				   strerror(-err)) :
		     0;
}

int vas_state_read(struct vas *vas, struct vas_state *state)
{
	int err = vas_generation_read(&vas->proto, state);

	if (err == -EPROTO)
		return vas_error_set(err, "the control area is damaged (generation %llu)",
				     (unsigned long long)vas_generation(vas));
	return err;
}
