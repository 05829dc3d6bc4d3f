/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Pass a vas to KVM: one memslot a region, kept in step with every later change of the layout;
 * doorbells as ioeventfds, interrupts as irqfds; KVM's dirty log delivered into the vas's.
 *
 * KVM is given a mapping of the files, at addresses that are congruent to the file's offsets modulo
 * 2 MiB, so that it can use large pages wherever gpa and offset allow it, as they always do where
 * offset = gpa. Local regions, and a device's (VAS_REGION_DEVICE), are given to KVM where they are.
 *
 * All calls are for the process that created the VM. They may come from any thread, and none of
 * them needs the vCPUs to be stopped, but see `pause`.
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
	uint32_t ring_pages;	/* VAS_KVM_DIRTY_RING: of a vCPU's ring, a power of two; 0: 16 */
	uint32_t reserved0;
	/*
	 * KVM cannot replace a memslot in one step: a region that grows, shrinks, changes its flags
	 * or moves onto itself is gone for a moment. If a vCPU may touch it meanwhile, pause() must
	 * begin to get all vCPUs out of KVM_RUN, and keep them out until resume(); it does not wait
	 * for them. is_paused() says whether all are out now: it is asked once, and again after
	 * each vas_kvm_wake(), with which the VMM tells that the last one may have gone out. All
	 * three are called in the thread that commits; a vCPU's own thread that commits counts as
	 * out. They are called for a freeze as well, and calls nest. vCPUs that do not come out in
	 * time fail the commit or the freeze, and resume() is called then. All NULL: the caller
	 * knows that no vCPU touches what changes, and stops them itself before it freezes.
	 */
	void (*pause)(void *priv);
	int (*is_paused)(void *priv);
	void (*resume)(void *priv);
	void *priv;
	uint64_t timeout_ns; /* for attaching; 0: as long as it takes */
	uint64_t reserved[2];
};

/*
 * How KVM logs dirty pages. The bitmap is the default: with KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
 * which is then enabled for the whole VM, so that memslots of the VMM's own need
 * KVM_CLEAR_DIRTY_LOG too. The ring is enabled here and stays: attach before the first vCPU is
 * created, tell of each one by vas_kvm_add_vcpu(), and answer KVM_EXIT_DIRTY_RING_FULL with
 * vas_kvm_collect(). Entries of the VMM's own memslots in it are dropped. Both flags: the ring if
 * it can be had, else the bitmap.
 */
#define VAS_KVM_DIRTY_BITMAP 1u
#define VAS_KVM_DIRTY_RING   2u

/*
 * Attach the vas (this handle must own it) to a VM of this process. options may be NULL. *kvm is
 * freed by vas_kvm_detach(); the vm_fd is duplicated.
 * -EINVAL: not a KVM VM, or options; -EXDEV: a VM of another process; -ENOSPC: more regions than
 * slots; -EFBIG: a region of 8 TiB or more; -EEXIST: the VMM has a memslot there; -EOPNOTSUPP: this
 * KVM has no dirty ring, or no read-only memory; -EBUSY: the ring is wanted, but there are vCPUs
 * already; -EPERM: not the owner; -ENXIO: a backing's fd is not there; -ENOMEM; else as
 * vas_consumer_attach(). After an error nothing is attached.
 */
VAS_API int vas_kvm_attach(struct vas *vas, int vm_fd, const struct vas_kvm_options *options,
			   struct vas_kvm **kvm);
VAS_API void vas_kvm_detach(struct vas_kvm *kvm);

/* VAS_KVM_DIRTY_BITMAP or VAS_KVM_DIRTY_RING: what was chosen. */
VAS_API uint32_t vas_kvm_dirty_log(const struct vas_kvm *kvm);

/*
 * The consumer that it is, for vas_consumer_status(): replacing a memslot can fail for want of
 * kernel memory when it is too late to refuse the change. KVM is out of step then, and a vCPU's
 * access to what is missing is an MMIO exit, until vas_consumer_retry() or a later change succeeds.
 */
VAS_API struct vas_consumer *vas_kvm_consumer(struct vas_kvm *kvm);

/* Have is_paused() asked again, if somebody waits for it. From any thread, and never blocks. */
VAS_API void vas_kvm_wake(struct vas_kvm *kvm);

/*
 * Tie an event of the vas to the VM: KVM_IOEVENTFD or KVM_IRQFD. Untied at detach. For an interrupt
 * by message (VAS_EVENT_MSI) a route from its gsi to the message is added to the VM's routes, which
 * can only be set as a whole: those of the in-kernel interrupt controllers at reset, or those given
 * to vas_kvm_set_routes(), are kept.
 * -ENOENT, -ENXIO: as vas_event_fd(); -EEXIST: tied already, or the gsi or the address is taken;
 * -EINVAL: KVM has no such gsi, or no interrupt controller (KVM_CREATE_IRQCHIP comes first).
 */
VAS_API int vas_kvm_attach_event(struct vas_kvm *kvm, uint32_t event_id);
VAS_API int vas_kvm_detach_event(struct vas_kvm *kvm, uint32_t event_id);

/* Replace the VM's routes other than those of tied events. The entries are copied. */
struct kvm_irq_routing_entry;
VAS_API int vas_kvm_set_routes(struct vas_kvm *kvm, const struct kvm_irq_routing_entry *entries,
			       size_t nr);

/*
 * With the dirty ring: tell of each vCPU once it exists, before it runs; and before it is closed.
 * vas_kvm_collect() moves what the rings hold into the dirty log; a vCPU's thread may call it. A
 * processor that logs in hardware hands its last entries over only as the vCPU leaves KVM_RUN, so
 * the last harvest of a migration comes after the vCPUs have stopped. Without the ring these do
 * nothing.
 */
VAS_API int vas_kvm_add_vcpu(struct vas_kvm *kvm, int vcpu_fd);
VAS_API int vas_kvm_remove_vcpu(struct vas_kvm *kvm, int vcpu_fd);
VAS_API int vas_kvm_collect(struct vas_kvm *kvm);

#ifdef __cplusplus
}
#endif

#endif
