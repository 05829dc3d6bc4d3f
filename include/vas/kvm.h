/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Pass a vas to KVM: one memslot a region, kept in step with every later change of the layout;
 * doorbells as ioeventfds, interrupts as irqfds; KVM's dirty log delivered into the vas's.
 */
#ifndef VAS_KVM_H
#define VAS_KVM_H

#include <vas/consumer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vas_kvm;

struct vas_kvm_options {
	uint32_t first_slot;	/* slots below it stay the VMM's */
	uint32_t nr_slots;	/* 0: all that KVM has, from first_slot on */
	uint32_t address_space; /* KVM_CAP_MULTI_ADDRESS_SPACE: 0, or 1 for SMM */
	uint32_t flags;		/* VAS_KVM_* */
	uint32_t ring_pages;	/* VAS_KVM_DIRTY_RING: pages a vCPU's ring has; 0: 16 */
	/*
	 * KVM has no atomic move: a region that moves or is replaced is gone for a moment. If a vCPU
	 * may touch it meanwhile, pause(priv, 1) must kick all vCPUs out of KVM_RUN and keep them
	 * out until pause(priv, 0). NULL: the caller knows that none does.
	 */
	void (*pause)(void *priv, int on);
	void *priv;
	uint64_t reserved[4];
};

#define VAS_KVM_DIRTY_BITMAP 1u /* use the bitmap even if the ring can be had */
#define VAS_KVM_DIRTY_RING   2u /* use the ring: enabled here, so attach before the first vCPU */

/*
 * Attach the vas (this handle must own it) to a VM of this process. options may be NULL. *kvm is
 * freed by vas_kvm_detach(); the vm_fd is duplicated.
 * -EINVAL: not a KVM VM; -EXDEV: a VM of another process; -ENOSPC: more regions than slots. After an
 * error nothing is attached.
 */
VAS_API int vas_kvm_attach(struct vas *vas, int vm_fd, const struct vas_kvm_options *options,
			   struct vas_kvm **kvm);
VAS_API void vas_kvm_detach(struct vas_kvm *kvm);

/*
 * Tie an event of the vas to the VM: KVM_IOEVENTFD or KVM_IRQFD (MSI: a route is added; the VMM's
 * own routes are lost unless it gives them to vas_kvm_set_routes()). Untied at detach.
 */
VAS_API int vas_kvm_tie(struct vas_kvm *kvm, uint32_t event_id);
VAS_API int vas_kvm_untie(struct vas_kvm *kvm, uint32_t event_id);

struct kvm_irq_routing_entry;
VAS_API int vas_kvm_set_routes(struct vas_kvm *kvm, const struct kvm_irq_routing_entry *entries,
			       size_t nr);

/* With the dirty ring: tell of each vCPU once it exists, before it runs; and before it is closed. */
VAS_API int vas_kvm_add_vcpu(struct vas_kvm *kvm, int vcpu_fd);
VAS_API int vas_kvm_remove_vcpu(struct vas_kvm *kvm, int vcpu_fd);

#ifdef __cplusplus
}
#endif

#endif
