/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Writing to what the caller has given us, without its signals: a pipe without a reader is -EPIPE
 * and no SIGPIPE, a file at RLIMIT_FSIZE is -EFBIG and no SIGXFSZ. The kernel sends both to the
 * thread that writes, so blocking them here and taking the one that came away again concerns nobody
 * else. (A socket needs none of it: MSG_NOSIGNAL.)
 *
 *	write_signals_block(&signals);
 *	err = write(...) < 0 ? -errno : 0;
 *	write_signals_restore(&signals, err);
 */
#ifndef VAS_LIB_WRITE_SIGNALS_H
#define VAS_LIB_WRITE_SIGNALS_H

#include <errno.h>
#include <signal.h>
#include <time.h>

struct write_signals {
	sigset_t mask;	  /* as it was */
	sigset_t pending; /* before: not ours to take */
};

static inline void write_signals_block(struct write_signals *s)
{
	sigset_t both;

	sigemptyset(&both);
	sigaddset(&both, SIGPIPE);
	sigaddset(&both, SIGXFSZ);
	pthread_sigmask(SIG_BLOCK, &both, &s->mask);
	sigpending(&s->pending);
}

/* err: what the last write said. */
static inline void write_signals_restore(const struct write_signals *s, int err)
{
	const struct timespec now = { 0 };
	int sent = err == -EPIPE ? SIGPIPE : err == -EFBIG ? SIGXFSZ : 0;
	sigset_t set;

	if (sent && !sigismember(&s->pending, sent)) {
		sigemptyset(&set);
		sigaddset(&set, sent);
		while (sigtimedwait(&set, NULL, &now) < 0 && errno == EINTR)
			;
	}
	pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
}

#endif
