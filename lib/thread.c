// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/thread.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/bind.h"
#include "lib/error.h"
#include "lib/lock.h"

#define NO_SLOT UINT32_MAX

__thread struct vas_threads vas_threads;

/* A thread that has a table, so that handles can take their entries out of it. */
struct member {
	struct vas_threads *table;
	struct member *next;
};

/* Protects all below, and every thread's table against others than that thread. */
static pthread_mutex_t handles_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vas *handles;
static struct member *members;
static uint32_t nr_indices; /* ever used at once */
static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_err;

/* ---- slots -------------------------------------------------------------------------------- */

static bool claim_slot(struct vas *vas, struct thread *t)
{
	uint32_t nr = vas->sb.nr_slots, tid = (uint32_t)syscall(SYS_gettid), i;
	struct vas_slot *slots = vas_slots(vas);

	/* Start at a place of one's own: threads that come together do not fight for one slot. */
	for (i = 0; i < nr; i++) {
		uint32_t at = (tid + i) % nr, free_slot = 0;

		if (__atomic_load_n(&slots[at].binder, __ATOMIC_RELAXED))
			continue;
		if (!__atomic_compare_exchange_n(&slots[at].binder, &free_slot, vas->binder + 1, 0,
						 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		slots[at].tid = tid;
		t->slot = at;
		t->head.slot = &slots[at].generation;
		__atomic_store_n(t->head.slot, 0, __ATOMIC_RELEASE);
		return true;
	}
	return false;
}

static int get_slot(struct vas *vas, struct thread *t)
{
	t->slot = NO_SLOT;
	t->head.slot = &t->own_word;
	if (vas->role == VAS_ROLE_OBSERVER || claim_slot(vas, t))
		return 0;
	if (vas_reclaim_dead(vas) && claim_slot(vas, t))
		return 0;
	return vas_fail(-EAGAIN, "all %u thread slots of this vas are taken", vas->sb.nr_slots);
}

static void put_slot(struct vas *vas, struct thread *t)
{
	struct vas_slot *slot;
	uint32_t mine = vas->binder + 1;

	if (t->slot == NO_SLOT)
		return;
	slot = &vas_slots(vas)[t->slot];
	__atomic_store_n(&slot->generation, 0, __ATOMIC_RELEASE);
	/* Only if it is still ours: shared memory says what it likes. */
	__atomic_compare_exchange_n(&slot->binder, &mine, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* ---- a thread's table --------------------------------------------------------------------- */

static void unlink_thread(struct vas *vas, struct thread *t)
{
	struct thread **p;

	pthread_mutex_lock(&vas->lock);
	for (p = &vas->threads; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	pthread_mutex_unlock(&vas->lock);
}

/* The thread ends: its slots in every handle are free again. */
static void on_thread_exit(void *table)
{
	struct vas_threads *threads = table;
	struct member **p;
	uint32_t i;

	pthread_mutex_lock(&handles_lock);
	for (i = 0; i < threads->nr; i++) {
		struct thread *t = (struct thread *)threads->table[i];

		if (!t)
			continue;
		unlink_thread(t->vas, t);
		put_slot(t->vas, t);
		free(t);
	}
	for (p = &members; *p; p = &(*p)->next) {
		if ((*p)->table == threads) {
			struct member *gone = *p;

			*p = gone->next;
			free(gone);
			break;
		}
	}
	free(threads->table);
	threads->table = NULL;
	threads->nr = 0;
	pthread_mutex_unlock(&handles_lock);
}

static int join_members(void)
{
	struct member *m = malloc(sizeof(*m));

	if (!m)
		return -ENOMEM;
	if (pthread_setspecific(exit_key, &vas_threads)) {
		free(m);
		return -ENOMEM;
	}
	m->table = &vas_threads;
	m->next = members;
	members = m;
	return 0;
}

/* handles_lock is held. */
static int grow_table(uint32_t index)
{
	uint32_t nr = nr_indices > index ? nr_indices : index + 1;
	struct vas_thread **table;

	if (index < vas_threads.nr)
		return 0;
	if (!vas_threads.nr && join_members())
		return -ENOMEM;
	table = realloc(vas_threads.table, nr * sizeof(*table));
	if (!table)
		return -ENOMEM;
	memset(table + vas_threads.nr, 0, (nr - vas_threads.nr) * sizeof(*table));
	vas_threads.table = table;
	vas_threads.nr = nr;
	return 0;
}

static int make_thread(struct vas *vas)
{
	struct thread *t = calloc(1, sizeof(*t));
	int err = -ENOMEM;

	if (!t || grow_table(vas->head.index))
		goto err_free;
	err = get_slot(vas, t);
	if (err)
		goto err_free;
	t->vas = vas;
	t->table = &vas_threads;
	pthread_mutex_lock(&vas->lock);
	t->next = vas->threads;
	vas->threads = t;
	pthread_mutex_unlock(&vas->lock);
	vas_threads.table[vas->head.index] = &t->head;
	return 0;

err_free:
	free(t);
	return err;
}

int vas_thread_get(struct vas *vas, struct vas_thread **thread)
{
	int err = 0;

	*thread = vas_thread_of(&vas->head);
	if (*thread)
		return 0;
	pthread_mutex_lock(&handles_lock);
	if (vas->forked)
		err = vas_rebind_after_fork(vas);
	if (!err)
		err = make_thread(vas);
	pthread_mutex_unlock(&handles_lock);
	if (err)
		return err == -ENOMEM ? vas_fail(err, "no memory for a thread's place") : err;
	*thread = vas_thread_of(&vas->head);
	return 0;
}

/* ---- fork --------------------------------------------------------------------------------- */

static void before_fork(void)
{
	struct vas *vas;

	pthread_mutex_lock(&handles_lock);
	for (vas = handles; vas; vas = vas->next)
		pthread_mutex_lock(&vas->lock);
}

static void after_fork_in_parent(void)
{
	struct vas *vas;

	for (vas = handles; vas; vas = vas->next)
		pthread_mutex_unlock(&vas->lock);
	pthread_mutex_unlock(&handles_lock);
}

/*
 * The child shares the parent's description, and with it its locks: close it at once, or the parent
 * would seem alive as long as the child is. The slots are the parent's: forget them.
 */
static void after_fork_in_child(void)
{
	struct vas *vas;
	uint32_t i;

	for (vas = handles; vas; vas = vas->next) {
		close(vas->lock_fd);
		vas->lock_fd = -1;
		vas->binder = NO_BINDER;
		vas->forked = 1;
		vas->fork_count++;
		vas->notifier = NULL;
		vas->threads = NULL;
		if (vas->role == VAS_ROLE_OWNER)
			vas->role = VAS_ROLE_BINDER;
		pthread_mutex_init(&vas->change, NULL);
		pthread_mutex_init(&vas->drain, NULL);
		pthread_mutex_unlock(&vas->lock);
	}
	for (i = 0; i < vas_threads.nr; i++)
		vas_threads.table[i] = NULL;
	members = NULL;
	if (vas_threads.nr)
		join_members();
	pthread_mutex_unlock(&handles_lock);
}

static void init_once(void)
{
	once_err = -pthread_key_create(&exit_key, on_thread_exit);
	if (!once_err)
		once_err = -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* ---- handles ------------------------------------------------------------------------------ */

int vas_handle_register(struct vas *vas)
{
	uint32_t index = 0;
	struct vas *other;

	pthread_once(&once, init_once);
	if (once_err)
		return vas_fail(once_err, "cannot watch for threads' ends: %s", strerror(-once_err));
	pthread_mutex_lock(&handles_lock);
	for (other = handles; other;) {
		if (other->head.index == index) {
			index++;
			other = handles;
		} else {
			other = other->next;
		}
	}
	vas->head.index = index;
	if (index >= nr_indices)
		nr_indices = index + 1;
	vas->next = handles;
	handles = vas;
	pthread_mutex_unlock(&handles_lock);
	return 0;
}

void vas_handle_unregister(struct vas *vas)
{
	struct thread *t, *next;
	struct member *m;
	struct vas **p;

	pthread_mutex_lock(&handles_lock);
	for (p = &handles; *p; p = &(*p)->next) {
		if (*p == vas) {
			*p = vas->next;
			break;
		}
	}
	for (m = members; m; m = m->next)
		if (vas->head.index < m->table->nr)
			m->table->table[vas->head.index] = NULL;
	for (t = vas->threads; t; t = next) {
		next = t->next;
		put_slot(vas, t);
		free(t);
	}
	vas->threads = NULL;
	pthread_mutex_unlock(&handles_lock);
}
