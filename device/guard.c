// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The list is under a spin lock, which the signal handler takes as well: whoever holds it touches
 * nothing that is guarded, so a fault never meets its own thread's lock.
 */
#include "device/guard.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#include "lib/base/pass_on.h"

static struct guard *guards; /* lock */
static bool lock;
static bool any_has_failed; /* atomic */
static struct sigaction previous;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int install_error;

static void take_lock(void)
{
	while (__atomic_test_and_set(&lock, __ATOMIC_ACQUIRE))
		;
}

static void drop_lock(void)
{
	__atomic_clear(&lock, __ATOMIC_RELEASE);
}

static bool put_zeros(struct guard *guard)
{
	__atomic_store_n(&guard->failed, true, __ATOMIC_RELAXED);
	__atomic_store_n(&any_has_failed, true, __ATOMIC_RELAXED);
	return mmap(guard->start, guard->size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

bool guard_any_has_failed(void)
{
	return __atomic_load_n(&any_has_failed, __ATOMIC_RELAXED);
}

static bool handle(uintptr_t at)
{
	bool handled = false;
	struct guard *guard;

	take_lock();
	for (guard = guards; guard && !handled; guard = guard->next)
		if (at - (uintptr_t)guard->start < guard->size)
			handled = put_zeros(guard);
	drop_lock();
	return handled;
}

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	/* What kill() sends is no fault, and its si_addr means nothing. */
	bool handled = info->si_code > 0 && handle((uintptr_t)info->si_addr);

	errno = saved_errno;
	if (!handled)
		vas_signal_pass_on(&previous, signal, info, context);
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigemptyset(&action.sa_mask);
	install_error = sigaction(SIGBUS, &action, &previous) ? -errno : 0;
}

int guard_begin(struct guard *guard, void *start, size_t size)
{
	pthread_once(&once, install);
	if (install_error)
		return install_error;
	*guard = (struct guard){ .start = start, .size = size };
	take_lock();
	guard->next = guards;
	guards = guard;
	drop_lock();
	return 0;
}

void guard_end(struct guard *guard)
{
	struct guard **at;

	take_lock();
	for (at = &guards; *at; at = &(*at)->next)
		if (*at == guard) {
			*at = guard->next;
			break;
		}
	drop_lock();
	guard->size = 0;
}
