/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A virtual machine without devices: a VM with in-kernel interrupt controllers, and its vCPUs. */
#ifndef TINYVMM_MACHINE_H
#define TINYVMM_MACHINE_H

#include <linux/kvm.h>
#include <pthread.h>

#include <vas/kvm.h>
#include <vas/module.h>
#include <vas/vas.h>

#define MACHINE_MAX_VCPUS 8

/* One access of a guest that KVM leaves to us. For a read, fill data. */
struct machine_io {
	uint64_t addr; /* port or gpa */
	uint32_t len;
	int is_port;
	int is_write;
	void *data;
};

struct vcpu {
	struct machine *machine;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	int started;
	int in_range; /* the machine's lock */
	int is_busy;  /* with what the guest did last; the machine's lock */
};

struct machine {
	struct vas *vas;
	struct vas_kvm *kvm;	   /* the vas, attached */
	struct vas_module *module; /* the same, for kernel modules; NULL: there are none */
	int kvm_fd;
	int vm_fd;
	uint32_t pci_address; /* of the machine's state: the VMM's, which has the bus */
	struct vcpu vcpus[MACHINE_MAX_VCPUS];
	unsigned int nr_vcpus;

	/* The devices; called in the vCPU's thread. */
	void (*io)(struct machine *machine, const struct machine_io *io);
	void *priv;

	pthread_mutex_t lock; /* what follows */
	pthread_cond_t changed;
	unsigned int pauses;
	int stopped;
	int status;
};

/* 0 or -errno. The vas is attached with machine_pause() and so on; kvm_flags: VAS_KVM_*. */
int machine_create(struct machine *machine, struct vas *vas, unsigned int nr_vcpus,
		   uint32_t kvm_flags);
void machine_destroy(struct machine *machine);

/*
 * The first vCPU's beginning: at entry, in 32-bit protected mode with flat segments. EBX and ESI
 * are info, which is where kernels look for what a boot loader has to say.
 */
int machine_enter_at(struct machine *machine, uint64_t entry, uint64_t info);

/* Run the vCPUs, each in a thread; wait for machine_stop() from anywhere, and tell its status. */
int machine_start(struct machine *machine);
void machine_stop(struct machine *machine, int status);
int machine_wait(struct machine *machine);

/*
 * Begin to get all vCPUs out of KVM_RUN, and keep them out until resumed as often. Whether they are
 * out; or wait for it with machine_settle().
 */
void machine_pause(void *machine);
int machine_is_paused(void *machine);
void machine_resume(void *machine);

/*
 * While they are out: wait until the devices have done what the guests did last, and let KVM finish
 * those instructions, which may write guest memory. Nothing happens after that until the pause
 * ends. -EBUSY: a device takes longer than timeout_ns; -ESHUTDOWN: the machine has stopped.
 */
int machine_settle(struct machine *machine, uint64_t timeout_ns);

#endif
