// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/handle/file.h"
#include "lib/handle/lock.h"
#include "lib/handle/log.h"
#include "lib/handle/notify.h"
#include "lib/handle/proto.h"
#include "lib/handle/sigbus.h"

/* Nothing writes to it: depth keeps everybody off the fast way, and the slow way looks here. */
static const struct vas_thread unregistered = { .depth = DEPTH_FENCE };

#define UNREGISTERED ((struct vas_thread *)(uintptr_t)&unregistered)

__thread struct vas_thread *vas_registered_threads[] = {
	[0 ... VAS_FAST_HANDLES - 1] = UNREGISTERED,
};

/* Protects the list, and every thread's registrations against others than that thread. */
static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vas *handles;
static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_err;

/* ---- slots -------------------------------------------------------------------------------- */

static int get_slot(struct vas *vas, struct thread *t)
{
	struct vas_scan scan;

	t->slot = VAS_NO_ENTRY;
	t->head.slot = &t->own_word;
	if (vas->role == VAS_ROLE_OBSERVER)
		return 0;
	vas_scan_begin(&scan, &vas->proto, 0);
	t->slot = vas_slot_claim(&scan, (uint32_t)syscall(SYS_gettid), &t->head.slot);
	if (t->slot != VAS_NO_ENTRY)
		return 0;
	return vas_error_set(-EAGAIN, "all %u thread slots of this vas are taken",
			     vas->sb.nr_slots);
}

static void put_slot(struct vas *vas, struct thread *t)
{
	if (t->slot == VAS_NO_ENTRY)
		return;
	/* Whatever the shared word says: it ended in a section, perhaps in the middle of a mark. */
	if (vas_thread_is_inside(t))
		vas_log_set_incomplete(vas);
	vas_slot_release(&vas->proto, t->slot);
}

/* ---- registered threads ------------------------------------------------------------------- */

/* Take the thread with these registrations out of the handle's list. */
static struct thread *unlink_thread(struct vas *vas, struct vas_thread **registered)
{
	struct thread **p, *t = NULL;

	pthread_mutex_lock(&vas->lock);
	for (p = &vas->threads; *p; p = &(*p)->next) {
		if ((*p)->registered == registered) {
			t = *p;
			*p = t->next;
			break;
		}
	}
	pthread_mutex_unlock(&vas->lock);
	return t;
}

/* The thread ends: its slots in every handle are free again. */
static void on_thread_exit(void *registered)
{
	struct vas *vas;

	pthread_mutex_lock(&handles_lock);
	for (vas = handles; vas; vas = vas->next) {
		struct thread *t = unlink_thread(vas, registered);

		if (!t)
			continue;
		t->registered[vas->head.index] = UNREGISTERED;
		put_slot(vas, t);
		free(t);
	}
	pthread_mutex_unlock(&handles_lock);
}

/* Claiming a slot may take a while: no lock is held. */
static int make_thread(struct vas *vas, struct thread **out)
{
	struct thread *t = calloc(1, sizeof(*t));
	int err = -ENOMEM;

	if (!t || pthread_setspecific(exit_key, vas_registered_threads))
		goto err_free;
	err = get_slot(vas, t);
	if (err)
		goto err_free;
	vas_fault_unblock(vas);
	t->vas = vas;
	t->registered = vas_registered_threads;
	pthread_mutex_lock(&vas->lock);
	t->next = vas->threads;
	vas->threads = t;
	pthread_mutex_unlock(&vas->lock);
	if (vas->head.index)
		vas_registered_threads[vas->head.index] = &t->head;
	*out = t;
	return 0;

err_free:
	free(t);
	return err == -ENOMEM ? vas_error_set(err, "no memory for a thread's place") : err;
}

struct thread *vas_thread_find(struct vas *vas)
{
	struct thread *t;

	if (vas->head.index) {
		struct vas_thread *self = vas_thread_self(vas);

		return self == UNREGISTERED ? NULL : (struct thread *)self;
	}
	pthread_mutex_lock(&vas->lock);
	for (t = vas->threads; t && t->registered != vas_registered_threads; t = t->next)
		;
	pthread_mutex_unlock(&vas->lock);
	return t;
}

/* In a child, before its first use of the handle: a description, locks and an index of its own. */
static int rebind_after_fork(struct vas *vas)
{
	int err = 0;

	vas->lock_fd = vas_file_reopen(vas->fd, vas->role == VAS_ROLE_OBSERVER ? O_RDONLY : O_RDWR);
	if (vas->lock_fd < 0)
		return vas->lock_fd;
	if (vas->role != VAS_ROLE_OBSERVER)
		err = vas_binder_join(vas);
	if (err) {
		close(vas->lock_fd);
		vas->lock_fd = -1;
		return err;
	}
	vas->forked = 0;
	return 0;
}

int vas_thread_get(struct vas *vas, struct thread **out)
{
	int err = 0;

	*out = vas_thread_find(vas);
	if (*out)
		return 0;
	pthread_mutex_lock(&handles_lock);
	if (vas->forked)
		err = rebind_after_fork(vas);
	pthread_mutex_unlock(&handles_lock);
	return err ? err : make_thread(vas, out);
}

struct vas_thread *vas_thread_register(struct vas *vas)
{
	NO_CANCEL;
	struct thread *t;

	if (vas->head.index)
		vas_thread_get(vas, &t);
	return vas_thread_self(vas);
}

/* ---- fork --------------------------------------------------------------------------------- */

static void before_fork(void)
{
	struct vas *vas;

	pthread_mutex_lock(&handles_lock);
	for (vas = handles; vas; vas = vas->next)
		pthread_mutex_lock(&vas->lock);
	vas_fault_before_fork();
}

static void after_fork_in_parent(void)
{
	struct vas *vas;

	vas_fault_after_fork();
	for (vas = handles; vas; vas = vas->next)
		pthread_mutex_unlock(&vas->lock);
	pthread_mutex_unlock(&handles_lock);
}

/*
 * What is the parent's, and its threads': slots, the notifier, consumers, cleanup actions, memory
 * that is to come, and locks that a thread which is not here may hold. The child must neither wait
 * for these nor call them. What the owner had of its own is only memory to a binder.
 */
static void forget_parent(struct vas *vas)
{
	struct thread *t;

	/* Whoever holds one of these still: the way in and out is not inlined. */
	for (t = vas->threads; t; t = t->next)
		t->head.depth = DEPTH_FENCE;
	vas->threads = NULL;
	vas_notify_forget(vas);
	vas->consumers = vas->last_consumer = NULL;
	vas->cleanups = NULL;
	vas->lazy = NULL;
	vas->failures.active = 0;
	pthread_mutex_init(&vas->change, NULL);
	pthread_mutex_init(&vas->drain, NULL);
}

/*
 * The child shares the parent's description, and with it its locks: close it at once, or the parent
 * would seem alive as long as the child is.
 */
static void after_fork_in_child(void)
{
	struct vas *vas;

	vas_fault_after_fork();
	for (vas = handles; vas; vas = vas->next) {
		if (vas->lock_fd >= 0)
			close(vas->lock_fd);
		vas->lock_fd = -1;
		vas->proto.index = VAS_NO_ENTRY;
		vas->proto.tag = VAS_NO_TAG;
		vas->forked = 1;
		vas->fork_count++;
		forget_parent(vas);
		if (vas->role == VAS_ROLE_OWNER)
			vas->role = VAS_ROLE_BINDER;
		pthread_mutex_unlock(&vas->lock);
	}
	for (uint32_t i = 0; i < VAS_FAST_HANDLES; i++)
		vas_registered_threads[i] = UNREGISTERED;
	pthread_mutex_unlock(&handles_lock);
}

static void init_once(void)
{
	once_err = -pthread_key_create(&exit_key, on_thread_exit);
	if (!once_err)
		once_err = -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- handles ------------------------------------------------------------------------------ */

/* The lowest that is free; 0 if none is. handles_lock is held. */
static uint32_t free_index(void)
{
	bool used[VAS_FAST_HANDLES] = { true };
	uint32_t i;
	struct vas *vas;

	for (vas = handles; vas; vas = vas->next)
		used[vas->head.index] = true;
	for (i = 1; i < VAS_FAST_HANDLES; i++)
		if (!used[i])
			return i;
	return 0;
}

int vas_handle_register(struct vas *vas)
{
	pthread_once(&once, init_once);
	if (once_err)
		return vas_error_set(once_err, "cannot watch for threads' ends: %s",
				     strerror(-once_err));
	pthread_mutex_lock(&handles_lock);
	vas->head.index = free_index();
	vas->next = handles;
	handles = vas;
	pthread_mutex_unlock(&handles_lock);
	return 0;
}

void vas_handle_unregister(struct vas *vas)
{
	struct vas **p;

	pthread_mutex_lock(&handles_lock);
	for (p = &handles; *p; p = &(*p)->next) {
		if (*p == vas) {
			*p = vas->next;
			break;
		}
	}
	if (vas->lock_fd >= 0)
		close(vas->lock_fd);
	vas->lock_fd = -1;
	pthread_mutex_unlock(&handles_lock);
}

void vas_threads_end(struct vas *vas)
{
	struct thread *t, *next;

	pthread_mutex_lock(&handles_lock);
	for (t = vas->threads; t; t = next) {
		next = t->next;
		t->registered[vas->head.index] = UNREGISTERED;
		put_slot(vas, t);
		free(t);
	}
	vas->threads = NULL;
	pthread_mutex_unlock(&handles_lock);
}
