/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef GUEST_KVM_HOLD_H
#define GUEST_KVM_HOLD_H

/*
 * Keep a VM with a vCPU that never runs, if there is /dev/kvm. The first VM and the last, and the
 * first and the last vCPU whose APIC is off, have the kernel patch its own code; QEMU 7.2 with two
 * emulated processors now and then goes on executing the breakpoint that was there meanwhile, and
 * both processors hang. With this one held, the tests' VMs are never the first or the last.
 */
void kvm_hold(void);

#endif
