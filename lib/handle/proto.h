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

/* The state of the generation that holds now, checked: 0, -EPROTO or -EAGAIN. */
int vas_state_read(struct vas *vas, struct vas_state *state);

#endif
