// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/layout.h"
#include "lib/base/cancel.h"
#include "lib/base/clock.h"
#include "lib/base/error.h"
#include "lib/base/futex.h"
#include "lib/handle/file.h"
#include "lib/handle/generation.h"
#include "lib/base/spawn.h"
#include "lib/handle/lock.h"

#define LOOK_NS 1000000000ull

void vas_notify_everyone(struct vas *vas)
{
	vas_futex_wake(&vas->ctl->notify);
}

void vas_notify_answer(struct vas *vas)
{
	vas_futex_wake(&vas->ctl->answer);
}

/* ---- the notifier ------------------------------------------------------------------------- */

/*
 * Two threads that sleep: one on the futex, one on the lock of the owner's byte, which the kernel
 * grants when the owner dies. Both only write to the eventfd; what happened is for
 * vas_notifications() to find out.
 */
struct notifier {
	struct vas *vas;
	int event_fd;
	int lock_fd; /* its own description: waiting for the owner's byte is not owning it */
	pthread_t futex_thread;
	pthread_t lock_thread;
	bool stop;
	bool watches_owner;
	uint32_t count_seen; /* control.notify, from before the first look */
	/* What vas_notifications() saw last. */
	struct vas_state seen;
	bool owner_seen;
	uint64_t epoch_seen;
};

static void ring(struct notifier *n)
{
	uint64_t one = 1;

	if (write(n->event_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is readable, which is all that counts */
}

/* A tracker that is killed tells nobody: while tracking is on, the owner looks. */
static uint64_t next_look(struct vas *vas)
{
	if (__atomic_load_n(&vas->role, __ATOMIC_RELAXED) != VAS_ROLE_OWNER ||
	    !__atomic_load_n(&vas->is_tracked, __ATOMIC_RELAXED))
		return UINT64_MAX;
	return vas_deadline_ns(LOOK_NS);
}

static void *wait_on_futex(void *arg)
{
	struct notifier *n = arg;
	const uint32_t *word = &n->vas->ctl->notify;
	uint32_t seen = n->count_seen;

	while (!__atomic_load_n(&n->stop, __ATOMIC_ACQUIRE)) {
		uint64_t look_ns = next_look(n->vas);
		uint32_t now;

		vas_futex_wait(word, seen, look_ns);
		now = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		if (now != seen || vas_now_ns() >= look_ns)
			ring(n);
		seen = now;
	}
	return NULL;
}

/* A cancellation point, as fcntl() is in glibc; in musl it is for F_SETLKW alone. */
static int lock_or_cancel(int fd, struct flock *lock)
{
#ifdef __GLIBC__
	return fcntl(fd, F_OFD_SETLKW, lock);
#else
	int err;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	err = fcntl(fd, F_OFD_SETLKW, lock);
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
	return err;
#endif
}

/* Wait for the owner to go; write to the eventfd; wait for a new one (the futex is woken then). */
static void *wait_on_lock(void *arg)
{
	struct notifier *n = arg;
	struct vas *vas = n->vas;
	struct flock lock = {
		.l_type = F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)vas_owner_byte(vas),
		.l_len = 1,
	};

	while (!__atomic_load_n(&n->stop, __ATOMIC_ACQUIRE)) {
		uint32_t seen = __atomic_load_n(&vas->ctl->notify, __ATOMIC_ACQUIRE);

		lock.l_type = F_RDLCK;
		if (lock_or_cancel(n->lock_fd, &lock)) {
			if (errno == EINTR)
				continue;
			break;
		}
		lock.l_type = F_UNLCK;
		fcntl(n->lock_fd, F_OFD_SETLK, &lock);
		ring(n);
		vas_futex_wait(&vas->ctl->notify, seen, UINT64_MAX);
	}
	return NULL;
}

/* Threads may be about to sleep: wake them until they are gone. */
static void join(pthread_t thread, const uint32_t *word)
{
	struct timespec pause = { .tv_nsec = 100000 };

	while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
		syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
		nanosleep(&pause, NULL);
	}
}

static void notifier_join(struct notifier *n)
{
	const uint32_t *word = &n->vas->ctl->notify;

	__atomic_store_n(&n->stop, true, __ATOMIC_RELEASE);
	join(n->futex_thread, word);
	if (!n->watches_owner)
		return;
	pthread_cancel(n->lock_thread); /* out of F_OFD_SETLKW */
	join(n->lock_thread, word);
}

static int look(struct notifier *n)
{
	struct vas *vas = n->vas;
	int err = vas_state_read(vas, &n->seen);

	n->owner_seen = vas_owner_lives(vas);
	n->epoch_seen = __atomic_load_n(&vas->ctl->owner_epoch, __ATOMIC_RELAXED);
	return err;
}

static int notifier_start(struct notifier *n)
{
	int err;

	n->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->event_fd < 0)
		return -errno;
	n->lock_fd = vas_file_reopen(n->vas->fd, O_RDONLY);
	if (n->lock_fd < 0) {
		err = n->lock_fd;
		goto err_close_event;
	}
	err = vas_spawn(&n->futex_thread, wait_on_futex, n);
	if (err)
		goto err_close_lock;
	/* The owner has no owner to lose. */
	n->watches_owner = n->vas->role != VAS_ROLE_OWNER;
	if (n->watches_owner)
		err = vas_spawn(&n->lock_thread, wait_on_lock, n);
	if (!err)
		return 0;
	n->watches_owner = false;
	notifier_join(n);
err_close_lock:
	close(n->lock_fd);
err_close_event:
	close(n->event_fd);
	return err;
}

/* vas->lock is held: one notifier a handle, and a fork finds all of it or nothing. */
static int get_notifier(struct vas *vas)
{
	struct notifier *n;
	int err;

	if (vas->notifier)
		return vas->notifier->event_fd;
	n = calloc(1, sizeof(*n));
	if (!n)
		return vas_error_set(-ENOMEM, "no memory for a notifier");
	n->vas = vas;
	/* Before looking, so that no change falls between the look and the thread's first wait. */
	n->count_seen = __atomic_load_n(&vas->ctl->notify, __ATOMIC_ACQUIRE);
	err = look(n);
	if (!err)
		err = notifier_start(n);
	if (err) {
		free(n);
		return vas_error_set(err, "cannot watch the vas: %s", strerror(-err));
	}
	vas->notifier = n;
	return n->event_fd;
}

int vas_notify_fd(struct vas *vas)
{
	NO_CANCEL;
	int fd;

	pthread_mutex_lock(&vas->lock);
	fd = get_notifier(vas);
	pthread_mutex_unlock(&vas->lock);
	return fd;
}

static void notifier_free(struct notifier *n)
{
	close(n->lock_fd);
	close(n->event_fd);
	free(n);
}

void vas_notify_forget(struct vas *vas)
{
	if (vas->notifier)
		notifier_free(vas->notifier);
	vas->notifier = NULL;
}

void vas_notify_stop(struct vas *vas)
{
	struct notifier *n;

	/* A fork finds all of it or nothing. */
	pthread_mutex_lock(&vas->lock);
	n = vas->notifier;
	vas->notifier = NULL;
	pthread_mutex_unlock(&vas->lock);
	if (!n)
		return;
	notifier_join(n);
	notifier_free(n);
}

/* ---- what happened ------------------------------------------------------------------------ */

static bool is_requested(struct vas *vas)
{
	struct vas_scan scan;

	vas_scan_begin(&scan, &vas->proto, 0);
	return vas_pins_are_requested(&scan);
}

int vas_notify_drain(struct vas *vas)
{
	NO_CANCEL;
	struct notifier *n = vas->notifier;
	uint64_t count;

	if (!n)
		return vas_error_set(-EINVAL, "vas_notify_fd() comes first");
	if (read(n->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return vas_error_set(-errno, "cannot read what vas_notify_fd() gave: %s",
				     strerror(errno));
	return 0;
}

int vas_notify_collect(struct vas *vas)
{
	struct notifier *n = vas->notifier, before = *n;
	int bits = 0, err = look(n);

	if (err)
		return err;
	if (n->seen.regions_generation != before.seen.regions_generation)
		bits |= VAS_NOTIFY_LAYOUT;
	if ((n->seen.flags ^ before.seen.flags) & VAS_STATE_TRACKING)
		bits |= VAS_NOTIFY_TRACKING;
	if ((n->seen.flags ^ before.seen.flags) & VAS_STATE_FROZEN)
		bits |= VAS_NOTIFY_FREEZE;
	if (n->owner_seen != before.owner_seen || n->epoch_seen != before.epoch_seen)
		bits |= VAS_NOTIFY_OWNER;
	if (is_requested(vas))
		bits |= VAS_NOTIFY_REQUEST;
	return bits;
}
