/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * pthread_cancel() while a call is under way takes effect after it: a thread that ended in the
 * middle would leave locks locked and a change half made. Each public function that takes a lock,
 * waits or holds an fd of its own begins with NO_CANCEL, which lasts until it returns, and whatever
 * it calls back, too. vas_doorbell_wait() has nothing to lose and stays a cancellation point.
 */
#ifndef VAS_LIB_CANCEL_H
#define VAS_LIB_CANCEL_H

#include <pthread.h>

static inline int vas_cancel_disable(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static inline void vas_cancel_restore(const int *before)
{
	int ignored;

	pthread_setcancelstate(*before, &ignored);
}

#define NO_CANCEL                                                                \
	int cancel_before __attribute__((cleanup(vas_cancel_restore), unused)) = \
		vas_cancel_disable()

#endif
