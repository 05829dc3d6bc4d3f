/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a machine is beside its memory: interrupt controllers, clock, vCPUs, PCI's address port. As
 * bytes that go with the memory, to a machine of the same build, on a processor that can do the
 * same.
 */
#ifndef TINYVMM_STATE_H
#define TINYVMM_STATE_H

#include <stddef.h>

#include "tinyvmm_machine.h"

/* Of a machine that is paused and settled. The state is malloced; the caller frees it. */
int machine_save(struct machine *machine, void **state, size_t *size);

/*
 * Into a machine that was just created. -EPROTO: this is no such state, or of another number of
 * vCPUs; -EINVAL and others: what KVM says.
 */
int machine_load(struct machine *machine, const void *state, size_t size);

/* How many vCPUs the state is of, or -EPROTO. */
int machine_state_vcpus(const void *state, size_t size);

#endif
