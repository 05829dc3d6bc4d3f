/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Locks on bytes of the file: who has one for writing lives. A lock goes with its open file
 * description, so it ends with the process however that dies. Read locks count for nothing: who may
 * only read the file can take them.
 */
#ifndef VAS_LIB_LOCK_H
#define VAS_LIB_LOCK_H

#include <stdbool.h>

#include "lib/handle/handle.h"

/* 0, -EBUSY (somebody has a lock on it), or another -errno. */
int vas_lock_byte(struct vas *vas, uint64_t offset);
void vas_unlock_byte(struct vas *vas, uint64_t offset);

/* Another description has the byte locked for writing. */
bool vas_byte_is_locked(const struct vas *vas, uint64_t offset);

/* The byte whose lock is the owner's. */
uint64_t vas_owner_byte(const struct vas *vas);

/* Own the vas: -EBUSY if another does. And give that up. */
int vas_lock_owner(struct vas *vas);
void vas_unlock_owner(struct vas *vas);

/*
 * May this handle change the vas? -EPERM, with "only the owner of a vas <does>": it does not own
 * it; or it does, but the vas is a share, which follows another.
 */
int vas_owner_check(const struct vas *vas, const char *does);

/* Somebody owns it, perhaps we. */
bool vas_owner_lives(struct vas *vas);

#endif
