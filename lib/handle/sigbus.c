// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "lib/handle/sigbus.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/base/error.h"
#include "lib/base/pass_on.h"

#define MAX_WATCHED (1 << 17)
#define HUGE	    (2ull << 20)
#define NR_SPARES   32
#define NR_KEPT	    8 /* of the spares: for ranges as a whole */

/*
 * Written under registry, read by the signal handler at any time: sequence is odd while the rest
 * changes. An entry is live while end is not 0.
 */
struct watched {
	uint32_t sequence;
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

/* Two maps each, side by side, to be given up for two others. Atomic. */
static char *spares[NR_SPARES];

/* ---- the registry ------------------------------------------------------------------------- */

/* A free entry, from the lowest that may be free on. */
static int find_free(void)
{
	while (lowest_free < MAX_WATCHED && table[lowest_free].end)
		lowest_free++;
	return lowest_free < MAX_WATCHED ? (int)lowest_free : -ENOSPC;
}

static void set_entry(struct watched *w, struct vas *vas, uintptr_t start, uintptr_t end)
{
	__atomic_store_n(&w->sequence, w->sequence + 1, __ATOMIC_RELAXED);
	/* Odd before the rest changes; partner: the fence in read_entry(). */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&w->vas, vas, __ATOMIC_RELAXED);
	__atomic_store_n(&w->start, start, __ATOMIC_RELAXED);
	__atomic_store_n(&w->end, end, __ATOMIC_RELAXED);
	__atomic_store_n(&w->sequence, w->sequence + 1, __ATOMIC_RELEASE);
}

/* In the handler: an entry that is just being changed is not of a page that is being touched. */
static bool read_entry(const struct watched *shared, struct watched *w)
{
	w->sequence = __atomic_load_n(&shared->sequence, __ATOMIC_ACQUIRE);
	w->vas = __atomic_load_n(&shared->vas, __ATOMIC_RELAXED);
	w->start = __atomic_load_n(&shared->start, __ATOMIC_RELAXED);
	w->end = __atomic_load_n(&shared->end, __ATOMIC_RELAXED);
	/* The rest before the second look; partner: the fence in set_entry(). */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !(w->sequence & 1) &&
	       __atomic_load_n(&shared->sequence, __ATOMIC_RELAXED) == w->sequence;
}

int vas_fault_watch(struct vas *vas, void *p, size_t size)
{
	int i;

	pthread_mutex_lock(&registry);
	i = find_free();
	if (i >= 0) {
		set_entry(&table[i], vas, (uintptr_t)p, (uintptr_t)p + size);
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
	set_entry(&table[watch], NULL, 0, 0);
	if ((uint32_t)watch < lowest_free)
		lowest_free = (uint32_t)watch;
	pthread_mutex_unlock(&registry);
}

static bool find_watched(uintptr_t at, struct watched *w)
{
	uint32_t i, nr = __atomic_load_n(&nr_used, __ATOMIC_ACQUIRE);

	for (i = 0; i < nr; i++)
		if (read_entry(&table[i], w) && at >= w->start && at < w->end)
			return true;
	return false;
}

void vas_fault_before_fork(void)
{
	pthread_mutex_lock(&registry);
}

void vas_fault_after_fork(void)
{
	pthread_mutex_unlock(&registry);
}

/* ---- spare maps --------------------------------------------------------------------------- */

/* Neighbours with different access, so that they are two maps, and stay two beside another pair. */
static char *make_spare(void)
{
	char *p = mmap(NULL, 2 * VAS_PAGE_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (!mprotect(p, VAS_PAGE_SIZE, PROT_READ))
		return p;
	munmap(p, 2 * VAS_PAGE_SIZE);
	return NULL;
}

void vas_fault_refill(void)
{
	int saved_errno = errno;
	char *nothing, *spare;
	int i;

	for (i = 0; i < NR_SPARES; i++) {
		if (__atomic_load_n(&spares[i], __ATOMIC_RELAXED))
			continue;
		nothing = NULL;
		spare = make_spare();
		if (!spare)
			break;
		if (!__atomic_compare_exchange_n(&spares[i], &nothing, spare, 0, __ATOMIC_ACQ_REL,
						 __ATOMIC_RELAXED))
			munmap(spare, 2 * VAS_PAGE_SIZE);
	}
	errno = saved_errno;
}

/* In the handler: false if there is none left but the first `kept`. */
static bool give_spare(int kept)
{
	char *spare;
	int i;

	for (i = NR_SPARES - 1; i >= kept; i--) {
		spare = __atomic_exchange_n(&spares[i], NULL, __ATOMIC_ACQ_REL);
		if (spare)
			return !munmap(spare, 2 * VAS_PAGE_SIZE);
	}
	return false;
}

/* ---- the handler -------------------------------------------------------------------------- */

static bool map_zeros(uintptr_t start, size_t size)
{
	return mmap((void *)start, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

/* Over the one page; -EINVAL is what a hugetlb map says that would have to be split. */
static bool map_zero_page(const struct watched *w, uintptr_t at)
{
	uintptr_t huge = at & ~(HUGE - 1);

	if (map_zeros(at & ~(VAS_PAGE_SIZE - 1), VAS_PAGE_SIZE))
		return true;
	return errno == EINVAL && huge >= w->start && w->end - huge >= HUGE &&
	       map_zeros(huge, HUGE);
}

/* N2. `at` 0: all of a map. */
static void note(struct vas *vas, uintptr_t at)
{
	struct failures *f = &vas->failures;
	uint64_t i = __atomic_fetch_add(&f->nr, 1, __ATOMIC_SEQ_CST);

	__atomic_store_n(&f->at[i % VAS_MAX_FAILED], at, __ATOMIC_RELAXED);
	__atomic_fetch_add(&vas->head.nr_failed, 1, __ATOMIC_SEQ_CST);
}

static bool is_control(const struct watched *w)
{
	return w->start == (uintptr_t)w->vas->control;
}

static bool put_zeros(const struct watched *w, uintptr_t at)
{
	do {
		if (map_zero_page(w, at))
			return true;
	} while (errno == ENOMEM && give_spare(NR_KEPT));
	if (is_control(w))
		return false;
	note(w->vas, 0);
	do {
		if (map_zeros(w->start, w->end - w->start))
			return true;
	} while (errno == ENOMEM && give_spare(0));
	return false;
}

int vas_handle_sigbus(const void *siginfo)
{
	const siginfo_t *info = siginfo;
	uintptr_t at = (uintptr_t)info->si_addr;
	int saved_errno = errno, handled;
	struct watched w;

	/* Sent by kill(): not a fault, si_addr means nothing. */
	if (info->si_code <= 0 || !find_watched(at, &w))
		return 0;
	__atomic_fetch_add(&w.vas->failures.active, 1, __ATOMIC_SEQ_CST); /* N1 */
	if (is_control(&w))
		__atomic_store_n(&w.vas->log_broken, 1, __ATOMIC_RELAXED);
	note(w.vas, at);
	handled = put_zeros(&w, at);					  /* N3 */
	__atomic_fetch_sub(&w.vas->failures.active, 1, __ATOMIC_SEQ_CST); /* N4 */
	errno = saved_errno;
	return handled;
}

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	if (!vas_handle_sigbus(info))
		vas_signal_pass_on(&previous, signal, info, context);
}

static int install(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, &previous))
		return vas_error_set(-errno, "cannot install a SIGBUS handler: %s",
				     strerror(errno));
	return 0;
}

int vas_fault_init(const struct vas *vas)
{
	int err = 0;

	vas_fault_refill();
	if (vas->bind_flags & VAS_BIND_NO_SIGBUS)
		return 0;
	pthread_mutex_lock(&registry);
	if (!installed)
		err = install();
	installed = !err;
	pthread_mutex_unlock(&registry);
	return err;
}

void vas_fault_unblock(const struct vas *vas)
{
	sigset_t set;

	if (vas->bind_flags & VAS_BIND_NO_SIGBUS)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
