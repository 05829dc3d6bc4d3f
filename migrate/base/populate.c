// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "migrate/base/populate.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/spawn.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define MAX_THREADS 16
#define STEP	    (2ull << 20) /* a huge page; as much as one processor takes at a time */

struct work {
	char *p;
	size_t size;
	size_t taken; /* atomic: up to where somebody makes it */
	int error;    /* atomic: errno of anybody who failed */
};

static void *take_steps(void *arg)
{
	struct work *work = arg;

	while (!__atomic_load_n(&work->error, __ATOMIC_RELAXED)) {
		size_t at = __atomic_fetch_add(&work->taken, STEP, __ATOMIC_RELAXED);

		if (at >= work->size)
			break;
		if (madvise(work->p + at, work->size - at < STEP ? work->size - at : STEP,
			    MADV_POPULATE_WRITE) &&
		    errno != EINTR)
			__atomic_store_n(&work->error, errno, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* This thread takes part; those that cannot be had are not needed. */
int populate(char *p, size_t size)
{
	struct work work = { .p = p, .size = size };
	long nr = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	pthread_t threads[MAX_THREADS];
	long started;

	if (nr > MAX_THREADS)
		nr = MAX_THREADS;
	for (started = 0; started < nr; started++)
		if (vas_spawn(&threads[started], take_steps, &work))
			break;
	take_steps(&work);
	while (started)
		pthread_join(threads[--started], NULL);
	return !work.error || work.error == EINVAL ? 0 : -ENOMEM;
}
