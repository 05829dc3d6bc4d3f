// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The eventfds of a handle's events: keeping, passing on, waiting, raising. */
#include "lib/base/eventfd.h"
#include "lib/events/event.h"

#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/handle/handle.h"
#include "lib/base/clock.h"
#include "lib/base/foreign.h"

void vas_event_set_init(struct vas_event_set *set)
{
	size_t i;

	memset(set, 0, sizeof(*set));
	for (i = 0; i < VAS_MAX_EVENTS; i++)
		set->fds[i].fd[VAS_EVENT_FD_MAIN] = set->fds[i].fd[VAS_EVENT_FD_RESAMPLE] = -1;
}

static void fds_close(struct vas_event_fds *fds)
{
	int which, fd;

	__atomic_store_n(&fds->id, 0, __ATOMIC_RELEASE);
	for (which = 0; which < VAS_EVENT_FD_COUNT; which++) {
		/* For a lock-free reader. */
		fd = __atomic_exchange_n(&fds->fd[which], -1, __ATOMIC_RELAXED);
		if (fd >= 0)
			close(fd);
	}
}

void vas_event_set_clean(struct vas_event_set *set)
{
	size_t i;

	for (i = 0; i < VAS_MAX_EVENTS; i++)
		fds_close(&set->fds[i]);
}

/* The eventfds of an event, or with id 0 a free entry. */
static struct vas_event_fds *fds_find(struct vas_event_set *set, uint32_t id)
{
	size_t i;

	for (i = 0; i < VAS_MAX_EVENTS; i++)
		if (__atomic_load_n(&set->fds[i].id, __ATOMIC_ACQUIRE) == id)
			return &set->fds[i];
	return NULL;
}

static int eventfd_new(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd >= 0 ? fd : vas_error_set(-errno, "cannot make an eventfd: %s", strerror(errno));
}

int vas_event_fds_new(struct vas_event_set *set, uint32_t id, int resample)
{
	struct vas_event_fds *fds;
	int which, fd;

	/* What an owner before us left under this id is of no use any more. */
	vas_event_fds_drop(set, id);
	fds = fds_find(set, 0);
	if (!fds)
		return vas_error_set(-ENOSPC, "no room for another event's eventfds");
	for (which = 0; which <= resample; which++) {
		fd = eventfd_new();
		if (fd < 0) {
			fds_close(fds);
			return fd;
		}
		fds->fd[which] = fd;
	}
	__atomic_store_n(&fds->id, id, __ATOMIC_RELEASE);
	return 0;
}

void vas_event_fds_drop(struct vas_event_set *set, uint32_t id)
{
	struct vas_event_fds *fds = fds_find(set, id);

	if (fds)
		fds_close(fds);
}

/* ---- passing on ---------------------------------------------------------------------------- */

static int event_fds(const struct vas_event_fds *fds, struct vas_event_fd_ref *refs, size_t max)
{
	size_t nr = 0;
	int which;

	for (which = 0; which < VAS_EVENT_FD_COUNT && nr < max; which++)
		if (fds->fd[which] >= 0)
			refs[nr++] = (struct vas_event_fd_ref){ fds->id, which, fds->fd[which] };
	return nr;
}

int vas_event_list_fds(struct vas *vas, struct vas_event_fd_ref *refs, size_t max)
{
	size_t nr = 0, i;

	for (i = 0; i < VAS_MAX_EVENTS; i++) {
		const struct vas_event_fds *fds = &vas->events.fds[i];

		if (fds->id && vas_event_exists(vas, fds->id))
			nr += event_fds(fds, refs + nr, max - nr);
	}
	return nr;
}

int vas_event_accept(struct vas *vas, uint32_t id, int which, int fd)
{
	struct vas_event_fds *fds;

	if (!id || which < 0 || which >= VAS_EVENT_FD_COUNT)
		return vas_error_set(-EPROTO, "event %u, fd %d: there is no such eventfd", id,
				     which);
	if (!vas_fd_is_eventfd(fd))
		return vas_error_set(-EPROTO, "what was sent for event %u is not an eventfd", id);
	fds = fds_find(&vas->events, id);
	if (!fds)
		fds = fds_find(&vas->events, 0);
	if (!fds)
		return vas_error_set(-ENOSPC, "more events were sent than a vas can have");
	if (fds->fd[which] >= 0)
		return vas_error_set(-EEXIST, "the eventfd of event %u is there already", id);
	/* A lock-free reader may be looking at an entry that exists: it sees -1 or the fd. */
	__atomic_store_n(&fds->fd[which], fd, __ATOMIC_RELEASE);
	__atomic_store_n(&fds->id, id, __ATOMIC_RELEASE);
	return 0;
}

/* ---- use ----------------------------------------------------------------------------------- */

static int event_fd(struct vas *vas, uint32_t id, enum vas_event_which which)
{
	struct vas_event_fds *fds = id ? fds_find(&vas->events, id) : NULL;
	int fd = -1;

	if (fds ? !vas_event_exists_at(vas, id, &fds->index) : !vas_event_exists(vas, id))
		return vas_error_set(-ENOENT, "there is no event with id %u", id);
	if (fds)
		fd = __atomic_load_n(&fds->fd[which], __ATOMIC_ACQUIRE);
	return fd >= 0 ? fd :
			 vas_error_set(-ENXIO, "the eventfd of event %u was not sent here", id);
}

int vas_event_fd(struct vas *vas, uint32_t id)
{
	return event_fd(vas, id, VAS_EVENT_FD_MAIN);
}

int vas_event_resample_fd(struct vas *vas, uint32_t id)
{
	return event_fd(vas, id, VAS_EVENT_FD_RESAMPLE);
}

/*
 * Take the count. Never sleeps, whatever flags a peer has set on the shared description. This is
 * preadv2(), which musl has no function for; the offset is -1, in two halves.
 */
static int64_t eventfd_take(int fd)
{
	uint64_t count;
	struct iovec iov = { &count, sizeof(count) };

	if (syscall(SYS_preadv2, fd, &iov, 1, -1L, -1L, RWF_NOWAIT) != sizeof(count))
		return -errno;
	return count <= INT64_MAX ? (int64_t)count : INT64_MAX;
}

static int eventfd_poll(int fd, uint64_t deadline)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct timespec timeout;
	uint64_t now, left;
	int nr;

	if (deadline == UINT64_MAX) {
		nr = poll(&pollfd, 1, -1);
	} else {
		now = vas_now_ns();
		left = deadline > now ? deadline - now : 0;
		timeout = (struct timespec){ left / 1000000000, left % 1000000000 };
		nr = ppoll(&pollfd, 1, &timeout, NULL);
	}
	if (nr < 0)
		return -errno;
	return nr ? 0 : -ETIMEDOUT;
}

/* Poll first: who waits mostly has to, and then it is one call the less. */
static int64_t eventfd_wait(int fd, uint64_t timeout_ns)
{
	uint64_t deadline;
	int64_t count;
	int err;

	if (!timeout_ns) {
		count = eventfd_take(fd);
		return count == -EAGAIN ? -ETIMEDOUT : count;
	}
	deadline = timeout_ns == UINT64_MAX ? UINT64_MAX : vas_deadline_ns(timeout_ns);
	do {
		err = eventfd_poll(fd, deadline);
		if (err)
			return err;
		/* Another thread may have been quicker. */
		count = eventfd_take(fd);
	} while (count == -EAGAIN);
	return count;
}

int64_t vas_doorbell_wait(struct vas *vas, uint32_t id, uint64_t timeout_ns)
{
	int fd = event_fd(vas, id, VAS_EVENT_FD_MAIN);
	int64_t count;

	if (fd < 0)
		return fd;
	count = eventfd_wait(fd, timeout_ns);
	if (count == -ETIMEDOUT)
		vas_error_set(-ETIMEDOUT, "event %u was not raised in time", id);
	else if (count < 0)
		vas_error_set((int)count, "cannot wait for event %u: %s", id,
			      strerror((int)-count));
	return count;
}

static int event_raise(struct vas *vas, uint32_t id)
{
	NO_CANCEL;
	int fd = event_fd(vas, id, VAS_EVENT_FD_MAIN);

	return fd < 0 ? fd : vas_eventfd_raise(fd);
}

int vas_irq_raise(struct vas *vas, uint32_t id)
{
	return event_raise(vas, id);
}

int vas_doorbell_ring(struct vas *vas, uint32_t id)
{
	return event_raise(vas, id);
}
