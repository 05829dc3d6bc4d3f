/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Waking those who wait: two futexes in the control area, and a thread that turns one into an fd.
 */
#ifndef VAS_LIB_NOTIFY_H
#define VAS_LIB_NOTIFY_H

#include "lib/handle/handle.h"

/* Something changed that a binder may want to know of. */
void vas_notify_everyone(struct vas *vas);
/* Something changed that the owner may be waiting for: a pin was released or went quiet. */
void vas_notify_answer(struct vas *vas);

/* Sleep until *word is no longer `seen`, at most until the deadline. */
void vas_futex_wait(const uint32_t *word, uint32_t seen, uint64_t deadline_ns);
void vas_futex_wake(uint32_t *word);

/* End the handle's notifier thread, if it has one. */
void vas_notify_stop(struct vas *vas);

#endif
