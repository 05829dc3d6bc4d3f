/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A SIGBUS that is not ours goes where it would have gone without our handler. */
#ifndef VAS_LIB_PASS_ON_H
#define VAS_LIB_PASS_ON_H

#include <signal.h>

static inline void vas_signal_pass_on(const struct sigaction *previous, int signal, siginfo_t *info,
				      void *context)
{
	if (previous->sa_flags & SA_SIGINFO) {
		previous->sa_sigaction(signal, info, context);
	} else if (previous->sa_handler == SIG_DFL || previous->sa_handler == SIG_IGN) {
		/* The faulting instruction runs again, and dies as it would have. */
		sigaction(signal, previous, NULL);
		if (info->si_code <= 0)
			raise(signal);
	} else {
		previous->sa_handler(signal);
	}
}

#endif
