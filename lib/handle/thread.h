/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Threads, their slots, handles' indices, and what fork() does to all of them. */
#ifndef VAS_LIB_THREAD_H
#define VAS_LIB_THREAD_H

#include "lib/handle/handle.h"

/* In vas_thread.depth: this thread's sections begin with a full fence, so not inlined. */
#define DEPTH_FENCE (1u << 31)

struct thread {
	struct vas_thread head;
	struct vas *vas;
	struct vas_thread *
		*registered; /* the thread's own vas_registered_threads: says whose this is */
	uint32_t slot;	     /* index, or NO_SLOT for an observer */
	uint32_t fence;	     /* DEPTH_FENCE or 0: closes the fast way in and out */
	uint64_t own_word;   /* an observer's stand-in for a slot */
	struct thread *next; /* vas->lock */
};

static inline int vas_thread_is_inside(const struct thread *t)
{
	return !!(__atomic_load_n(&t->head.depth, __ATOMIC_ACQUIRE) & ~DEPTH_FENCE);
}

/*
 * Give the handle its index and make it known to fork(). The reverse closes its lock_fd as well: a
 * child of between the two would keep that, and the locks.
 */
int vas_handle_register(struct vas *vas);
void vas_handle_unregister(struct vas *vas);

/* The handle's end: none of its threads has a slot any more. */
void vas_threads_end(struct vas *vas);

/* The calling thread, as registered with the handle: NULL if it is not; registered if need be. */
struct thread *vas_thread_find(struct vas *vas);
int vas_thread_get(struct vas *vas, struct thread **thread);

#endif
