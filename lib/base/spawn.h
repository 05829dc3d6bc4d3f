/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Threads of the library's own: all start here. Signals are the application's threads' to take, all
 * but SIGBUS, which a failing page raises in the thread that touches it. No symbol, so that
 * libvas-migrate has it too.
 */
#ifndef VAS_LIB_SPAWN_H
#define VAS_LIB_SPAWN_H

#include <pthread.h>
#include <signal.h>

static inline int vas_spawn(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t mask, before;
	int err;

	sigfillset(&mask);
	sigdelset(&mask, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &mask, &before);
	err = -pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

#endif
