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

/*
 * The two halves of vas_notifications(): empty the eventfd, -EINVAL if there is none; then
 * VAS_NOTIFY_* for what is not as it was at the last look. What happens in between wakes again.
 */
int vas_notify_drain(struct vas *vas);
int vas_notify_collect(struct vas *vas);

/* In the child of a fork, where the notifier's threads are not: its fds go, and it is unknown. */
void vas_notify_forget(struct vas *vas);

/* End the handle's notifier thread, if it has one. */
void vas_notify_stop(struct vas *vas);

#endif
