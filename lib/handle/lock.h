/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Liveness by lock: who is alive holds an OFD write lock on a byte of the file. A lock goes with
 * its open file description, so it ends with the process however that dies.
 */
#ifndef VAS_LIB_LOCK_H
#define VAS_LIB_LOCK_H

#include "lib/handle/handle.h"

/* 0, -EBUSY (someone else has it), or another -errno. */
int vas_lock_byte(struct vas *vas, uint64_t offset);
void vas_unlock_byte(struct vas *vas, uint64_t offset);
/* 1 if another description holds the byte. */
int vas_byte_is_locked(const struct vas *vas, uint64_t offset);

/* Take the owner's byte: -EBUSY if another owns the vas. */
int vas_lock_owner(struct vas *vas);

uint64_t vas_owner_byte(const struct vas *vas);
uint64_t vas_binder_byte(const struct vas *vas, uint32_t binder);

/* Take a binder index, reclaiming dead ones if need be: -EAGAIN if all are alive. */
int vas_binder_claim(struct vas *vas);
void vas_binder_release(struct vas *vas);

/* Clear what dead binders left: slots, pins, trackers. Returns how many were found dead. */
int vas_reclaim_dead(struct vas *vas);
/* The same for one binder index; 1 if it was dead (or is now free). */
int vas_reclaim_binder(struct vas *vas, uint32_t binder);

#endif
