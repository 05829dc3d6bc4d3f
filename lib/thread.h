/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Threads, their slots, handles' indices, and what fork() does to all of them. */
#ifndef VAS_LIB_THREAD_H
#define VAS_LIB_THREAD_H

#include "lib/handle.h"

struct thread {
	struct vas_thread head;
	struct vas *vas;
	struct vas_threads *table; /* whose entry points here: the thread's own */
	uint32_t slot;		   /* index, or NO_SLOT for an observer */
	uint64_t own_word;	   /* an observer's stand-in for a slot */
	struct thread *next;	   /* vas->lock */
};

/* Give the handle its index and make it known to fork(); the reverse, which frees its threads. */
int vas_handle_register(struct vas *vas);
void vas_handle_unregister(struct vas *vas);

/* The calling thread's tie to the handle, made if need be. */
int vas_thread_get(struct vas *vas, struct vas_thread **thread);

#endif
