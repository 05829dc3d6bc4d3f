/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* core/protocol for a process: locks by OFD, clocks by the vDSO. */
#ifndef VAS_LIB_PROTO_H
#define VAS_LIB_PROTO_H

#include "core/protocol/protocol.h"
#include "lib/handle/handle.h"

/* The control area is mapped and lock_fd open, or will be before the first use of a lock. */
void vas_proto_init(struct vas *vas);

/* Take a binder index: -EAGAIN if all are taken. */
int vas_binder_join(struct vas *vas);

/*
 * For the scans of a call with a deadline: a little later, so that a call whose time is up has
 * still one look, and many scans together take no longer than one. The other half of what a call
 * may take beyond its deadline is for undoing what it did.
 */
static inline uint64_t vas_scan_deadline_ns(uint64_t deadline_ns)
{
	uint64_t late_ns = VAS_SCAN_NS / 2;

	return deadline_ns < UINT64_MAX - late_ns ? deadline_ns + late_ns : UINT64_MAX;
}

/* The state of the generation that holds now, checked: 0, -EPROTO or -EAGAIN. */
int vas_state_read(struct vas *vas, struct vas_state *state);

#endif
