/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Words in shared memory that are counted up and waited for. errno is kept. */
#ifndef VAS_LIB_FUTEX_H
#define VAS_LIB_FUTEX_H

#include <stdint.h>

/* Sleep until *word is no longer `seen`, at most until the deadline. */
void vas_futex_wait(const uint32_t *word, uint32_t seen, uint64_t deadline_ns);

/* Count up, and wake all who wait. */
void vas_futex_wake(uint32_t *word);

#endif
