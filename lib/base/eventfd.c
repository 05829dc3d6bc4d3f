// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Raising without sleeping. write() to an eventfd sleeps while the count is as high as it goes,
 * unless O_NONBLOCK is set: count and flag belong to the open file description, which peers share
 * and may change between any look at it and the write. (RWF_NOWAIT is for reading only.) What the
 * kernel itself counts up never sleeps, and it does so for an AIO request that completes: here a
 * read of no bytes of the eventfd itself, which completes at once, refused as too short.
 *
 * A process that AIO is forbidden to has a thread write, and takes it back if it sleeps.
 */
#include "lib/base/eventfd.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/error.h"
#include "lib/base/spawn.h"

#define NR_EVENTS 128
#define NAP_NS	  50000 /* between two looks at whether the write sleeps */
#define MAX_LOOKS 20000

static aio_context_t context; /* the process's; a child's copy is refused with EINVAL. Atomic */

/* Another one in the place of `old`, which is none or the parent's. */
static int renew_context(aio_context_t old)
{
	aio_context_t made = 0;

	if (syscall(SYS_io_setup, NR_EVENTS, &made))
		return -errno;
	/* Another thread was quicker. */
	if (!__atomic_compare_exchange_n(&context, &old, made, 0, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		syscall(SYS_io_destroy, made);
	return 0;
}

/* Completions that nobody has asked for take the places of new requests. */
static void drop_completions(aio_context_t aio)
{
	struct io_event events[NR_EVENTS];
	struct timespec none = { 0 };

	syscall(SYS_io_getevents, aio, 0, NR_EVENTS, events, &none);
}

static int raise_by_aio(int fd)
{
	struct iocb read_nothing = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)fd,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	}, *requests[] = { &read_nothing };
	int tries, err = 0;

	for (tries = 0; tries < 3; tries++) {
		aio_context_t aio = __atomic_load_n(&context, __ATOMIC_ACQUIRE);

		if (aio && syscall(SYS_io_submit, aio, 1, requests) == 1)
			return 0;
		err = aio ? -errno : -EINVAL;
		if (err == -EAGAIN)
			drop_completions(aio);
		else if (err != -EINVAL || renew_context(aio))
			break;
	}
	return err;
}

static void *write_one(void *fd)
{
	eventfd_write((int)(intptr_t)fd, 1);
	return NULL;
}

static bool is_full(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLOUT };

	poll(&pollfd, 1, 0);
	return !(pollfd.revents & POLLOUT);
}

static int raise_by_thread(int fd)
{
	struct timespec nap = { .tv_nsec = NAP_NS };
	pthread_t thread;
	int looks, err = vas_spawn(&thread, write_one, (void *)(intptr_t)fd);

	if (err)
		return vas_error_set(err, "cannot start a thread to raise an event");
	for (looks = 0; looks < MAX_LOOKS; looks++) {
		if (!pthread_tryjoin_np(thread, NULL))
			return 0;
		/* What is full is raised, whether the thread has come to its write or not. */
		if (is_full(fd))
			break;
		nanosleep(&nap, NULL);
	}
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	return looks < MAX_LOOKS ?
		       0 :
		       vas_error_set(-EAGAIN, "a thread that raises an event does not run");
}

int vas_eventfd_raise(int fd)
{
	int saved_errno = errno, err = raise_by_aio(fd);

	if (err)
		err = raise_by_thread(fd);
	errno = saved_errno;
	return err;
}
