/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* KVM with no more around it than its ioctls: what the benches of the KVM binder compare with. */
#ifndef VAS_BENCH_BARE_KVM_H
#define VAS_BENCH_BARE_KVM_H

#include <stdint.h>

/* A VM, or -errno. */
int bare_vm_create(void);

/* 0 or -errno. */
int bare_slot_add(int vm_fd, uint32_t slot, uint64_t gpa, uint64_t size, void *hva);

/* Interrupt controllers, and one vCPU that is about to enter at entry, 32-bit flat: its fd. */
int bare_vcpu_create(int vm_fd, uint64_t entry);

/* Run it until it writes to the port, or KVM gives up: 0 or -errno. */
int bare_vcpu_run(int vcpu_fd, uint16_t exit_port);

#endif
