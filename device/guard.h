/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Maps of files that others can truncate. Touching what is gone raises SIGBUS: in a guarded range
 * that puts zeros in the place of the whole range, and says so; elsewhere it does what it did.
 */
#ifndef DEVICE_GUARD_H
#define DEVICE_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct guard {
	char *start;
	size_t size; /* 0: nothing is guarded */
	bool failed; /* atomic: there are zeros by now */
	struct guard *next;
};

/*
 * Guard [start, start + size), which is mapped, until guard_end(), after which it may be unmapped.
 * Any thread. -errno: the process's SIGBUS handler cannot be installed.
 */
int guard_begin(struct guard *guard, void *start, size_t size);
void guard_end(struct guard *guard);

/* Of all that there ever were in this process: while there is none, none has to be looked at. */
bool guard_any_has_failed(void);

static inline bool guard_has_failed(const struct guard *guard)
{
	return __atomic_load_n(&guard->failed, __ATOMIC_RELAXED);
}

#endif
