/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Until when a message must be over. It is set when the message begins, not anew with each byte: a
 * peer that dribbles gains nothing.
 */
#ifndef VAS_LIB_DEADLINE_H
#define VAS_LIB_DEADLINE_H

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>

#define NSEC_PER_SEC 1000000000ull

struct deadline {
	uint64_t at_ns; /* CLOCK_MONOTONIC; UINT64_MAX: none */
};

static inline uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

static inline struct deadline deadline_after(uint64_t begun_ns, uint64_t timeout_ns)
{
	struct deadline d;

	if (__builtin_add_overflow(begun_ns, timeout_ns, &d.at_ns))
		d.at_ns = UINT64_MAX;
	return d;
}

static inline struct deadline deadline_in(uint64_t timeout_ns)
{
	return deadline_after(monotonic_ns(), timeout_ns);
}

static inline struct deadline deadline_earlier(struct deadline a, struct deadline b)
{
	return a.at_ns < b.at_ns ? a : b;
}

static inline uint64_t deadline_left_ns(struct deadline d)
{
	uint64_t now = monotonic_ns();

	return now < d.at_ns ? d.at_ns - now : 0;
}

/* For poll(), which is to return by then, or after max_ms: rounded up. */
static inline int deadline_poll_ms(struct deadline d, int max_ms)
{
	uint64_t left_ns = deadline_left_ns(d);

	return left_ns < (uint64_t)max_ms * 1000000 ? (int)((left_ns + 999999) / 1000000) : max_ms;
}

/*
 * Until fd is ready. -ETIMEDOUT also if it is, but late: who always has one more byte does not get
 * past the deadline by it.
 */
static inline int deadline_wait(int fd, short events, struct deadline d)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	int nr;

	do {
		if (!deadline_left_ns(d))
			return -ETIMEDOUT;
		nr = poll(&poll_fd, 1, deadline_poll_ms(d, INT_MAX));
	} while (nr == 0 || (nr < 0 && errno == EINTR));
	return nr < 0 ? -errno : 0;
}

#endif
