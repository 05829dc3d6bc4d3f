// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/sigbus.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/error.h"

#define MAX_WATCHED (1 << 17)

/*
 * Written under registry, read by the signal handler at any time. An entry is live while end is not
 * 0; end is stored last and cleared first.
 */
struct watched {
	uintptr_t start;
	uintptr_t end;
	struct vas *vas;
};

static struct watched table[MAX_WATCHED];
static uint32_t nr_used;     /* entries at and above it were never live */
static uint32_t lowest_free; /* none below it is free */
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous;
static bool installed; /* registry */

/* A free entry, from the lowest that may be free on. */
static int find_free(void)
{
	while (lowest_free < MAX_WATCHED && table[lowest_free].end)
		lowest_free++;
	return lowest_free < MAX_WATCHED ? (int)lowest_free : -ENOSPC;
}

int vas_fault_watch(struct vas *vas, void *p, size_t size)
{
	int i;

	pthread_mutex_lock(&registry);
	i = find_free();
	if (i >= 0) {
		table[i].start = (uintptr_t)p;
		table[i].vas = vas;
		__atomic_store_n(&table[i].end, (uintptr_t)p + size, __ATOMIC_RELEASE);
		if ((uint32_t)i >= nr_used)
			__atomic_store_n(&nr_used, (uint32_t)i + 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&registry);
	if (i < 0)
		vas_error_set(i, "more than %d maps of vas memory in this process", MAX_WATCHED);
	return i;
}

void vas_fault_unwatch(int watch)
{
	pthread_mutex_lock(&registry);
	__atomic_store_n(&table[watch].end, 0, __ATOMIC_RELEASE);
	if ((uint32_t)watch < lowest_free)
		lowest_free = (uint32_t)watch;
	pthread_mutex_unlock(&registry);
}

static struct vas *watcher_of(uintptr_t at)
{
	uint32_t i, nr = __atomic_load_n(&nr_used, __ATOMIC_ACQUIRE);

	for (i = 0; i < nr; i++)
		if (at < __atomic_load_n(&table[i].end, __ATOMIC_ACQUIRE) && at >= table[i].start)
			return table[i].vas;
	return NULL;
}

/* A zero page over the failing one; of 2 MiB where the map is of hugetlb pages. */
static bool patch(uintptr_t at)
{
	static const size_t sizes[] = { 4096, 2u << 20 };
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (mmap((void *)(at & ~(sizes[i] - 1)), sizes[i], PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
			 0) != MAP_FAILED)
			return true;
	return false;
}

/* The page first, then the count: whoever sees the count finds the page. */
static void note(struct vas *vas, uintptr_t at)
{
	uint32_t nr = __atomic_load_n(&vas->head.nr_failed, __ATOMIC_RELAXED);

	do {
		if (nr < VAS_MAX_FAILED)
			__atomic_store_n(&vas->failed[nr], at, __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(&vas->head.nr_failed, &nr, nr + 1, 0,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
}

int vas_handle_sigbus(const void *siginfo)
{
	const siginfo_t *info = siginfo;
	uintptr_t at = (uintptr_t)info->si_addr;
	int saved_errno = errno, handled = 0;
	struct vas *vas;

	/* Sent by kill(): not a fault, si_addr means nothing. */
	if (info->si_code <= 0)
		return 0;
	vas = watcher_of(at);
	if (vas && patch(at)) {
		note(vas, at);
		handled = 1;
	}
	errno = saved_errno;
	return handled;
}

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	if (vas_handle_sigbus(info))
		return;
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(signal, info, context);
	} else if (previous.sa_handler == SIG_DFL || previous.sa_handler == SIG_IGN) {
		/* Not ours: the faulting instruction runs again and dies as it would have. */
		sigaction(signal, &previous, NULL);
		if (info->si_code <= 0)
			raise(signal);
	} else {
		previous.sa_handler(signal);
	}
}

int vas_fault_init(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK };
	int err = 0;

	pthread_mutex_lock(&registry);
	if (!installed) {
		sigemptyset(&action.sa_mask);
		if (sigaction(SIGBUS, &action, &previous))
			err = vas_error_set(-errno, "cannot install a SIGBUS handler: %s",
					    strerror(errno));
		installed = !err;
	}
	pthread_mutex_unlock(&registry);
	return err;
}
