// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "tinyvmm_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define KICK_SIGNAL SIGUSR1

/* ---- vCPUs --------------------------------------------------------------------------------- */

static void kick_handler(int signal)
{
	(void)signal; /* that KVM_RUN returns is all that is wanted */
}

/* With the lock held. immediate_exit covers a vCPU that is just about to enter KVM_RUN. */
static void vcpus_kick(struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_vcpus; i++) {
		struct vcpu *vcpu = &machine->vcpus[i];

		if (!vcpu->in_range)
			continue;
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
		pthread_kill(vcpu->thread, KICK_SIGNAL);
	}
}

/* False: the machine has stopped. */
static int vcpu_enter(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;

	pthread_mutex_lock(&machine->lock);
	vcpu->is_busy = 0;
	pthread_cond_broadcast(&machine->changed);
	while (machine->pauses && !machine->stopped)
		pthread_cond_wait(&machine->changed, &machine->lock);
	vcpu->in_range = !machine->stopped;
	vcpu->run->immediate_exit = 0;
	pthread_mutex_unlock(&machine->lock);
	return vcpu->in_range;
}

static void vcpu_leave(struct vcpu *vcpu)
{
	struct machine *machine = vcpu->machine;

	pthread_mutex_lock(&machine->lock);
	vcpu->in_range = 0;
	vcpu->is_busy = 1;
	pthread_cond_broadcast(&machine->changed);
	if (machine->pauses)
		vas_kvm_wake(machine->kvm);
	pthread_mutex_unlock(&machine->lock);
}

static void vcpu_port_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	char *data = (char *)run + run->io.data_offset;
	struct machine_io io = { .addr = run->io.port, .len = run->io.size, .is_port = 1 };
	uint32_t i;

	io.is_write = run->io.direction == KVM_EXIT_IO_OUT;
	for (i = 0; i < run->io.count; i++) {
		io.data = data + (size_t)i * run->io.size;
		vcpu->machine->io(vcpu->machine, &io);
	}
}

static void vcpu_mmio(struct vcpu *vcpu)
{
	struct machine_io io = {
		.addr = vcpu->run->mmio.phys_addr,
		.len = vcpu->run->mmio.len,
		.is_write = vcpu->run->mmio.is_write,
		.data = vcpu->run->mmio.data,
	};

	vcpu->machine->io(vcpu->machine, &io);
}

static void vcpu_handle_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		vcpu_port_io(vcpu);
		return;
	case KVM_EXIT_MMIO:
		vcpu_mmio(vcpu);
		return;
	case KVM_EXIT_INTR:
		return;
	case KVM_EXIT_SHUTDOWN: /* a triple fault: how a guest reboots that has nothing else */
		machine_stop(vcpu->machine, 0);
		return;
	case KVM_EXIT_DIRTY_RING_FULL:
		if (!vas_kvm_collect(vcpu->machine->kvm))
			return;
		break;
	}
	fprintf(stderr, "vCPU: KVM gives up, exit reason %u\n", vcpu->run->exit_reason);
	machine_stop(vcpu->machine, 255);
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;

	while (vcpu_enter(vcpu)) {
		int err = ioctl(vcpu->fd, KVM_RUN, 0) ? errno : 0;

		vcpu_leave(vcpu);
		if (!err || err == EFAULT) {
			vcpu_handle_exit(vcpu);
		} else if (err != EINTR && err != EAGAIN) {
			fprintf(stderr, "vCPU: KVM_RUN: %s\n", strerror(err));
			machine_stop(vcpu->machine, 255);
		}
	}
	return NULL;
}

/* KVM finishes the instruction that an exit was about as it is entered again, which may take more
 * exits. */
static int vcpu_settle(struct vcpu *vcpu)
{
	for (;;) {
		vcpu->run->immediate_exit = 1;
		if (ioctl(vcpu->fd, KVM_RUN, 0))
			return errno == EINTR || errno == EAGAIN ? 0 : -errno;
		vcpu_handle_exit(vcpu);
	}
}

/* What is each vCPU's own, and what KVM can do but does not say there. */
static void cpuid_adapt(struct kvm_cpuid2 *cpuid, uint32_t index, int has_deadline)
{
	uint32_t i;

	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == 1) {
			entry->ebx = (entry->ebx & 0xffffff) | index << 24;
			entry->ecx |= 1u << 31 | (has_deadline ? 1u << 24 : 0);
		} else if (entry->function == 0xb || entry->function == 0x1f) {
			entry->edx = index;
		}
	}
}

static int vcpu_set_cpuid(struct vcpu *vcpu)
{
	const struct machine *machine = vcpu->machine;
	const uint32_t max = 256;
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + max * sizeof(*cpuid->entries));
	int err = 0;

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = max;
	if (ioctl(machine->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid))
		err = -errno;
	cpuid_adapt(cpuid, (uint32_t)(vcpu - machine->vcpus),
		    ioctl(machine->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0);
	if (!err && ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
		err = -errno;
	free(cpuid);
	return err;
}

static int vcpu_create(struct machine *machine, unsigned int index)
{
	struct vcpu *vcpu = &machine->vcpus[index];
	int size = ioctl(machine->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	vcpu->machine = machine;
	vcpu->fd = ioctl(machine->vm_fd, KVM_CREATE_VCPU, index);
	if (vcpu->fd < 0)
		return -errno;
	machine->nr_vcpus = index + 1;
	vcpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return -errno;
	}
	return vcpu_set_cpuid(vcpu);
}

/* ---- the machine --------------------------------------------------------------------------- */

static int vm_create(struct machine *machine)
{
	const struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	machine->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (machine->kvm_fd < 0)
		return -errno;
	machine->vm_fd = ioctl(machine->kvm_fd, KVM_CREATE_VM, 0);
	if (machine->vm_fd < 0)
		return -errno;
	/* Three pages that Intel's real mode needs, below the top of 32 bits, where no RAM is. */
	if (ioctl(machine->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000ul) ||
	    ioctl(machine->vm_fd, KVM_CREATE_IRQCHIP, 0) ||
	    ioctl(machine->vm_fd, KVM_CREATE_PIT2, &pit))
		return -errno;
	return 0;
}

/* Where vas.ko is not loaded, or its device not ours to open, no module needs to be asked by it. */
static int modules_attach(struct machine *machine)
{
	int err = vas_module_attach(machine->vas, &machine->module);

	return err == -ENODEV || err == -EACCES ? 0 : err;
}

int machine_create(struct machine *machine, struct vas *vas, unsigned int nr_vcpus,
		   uint32_t kvm_flags)
{
	struct vas_kvm_options options = { .flags = kvm_flags,
					   .pause = machine_pause,
					   .is_paused = machine_is_paused,
					   .resume = machine_resume,
					   .priv = machine };
	struct sigaction action = { .sa_handler = kick_handler };
	pthread_condattr_t attr;
	unsigned int i;
	int err;

	*machine = (struct machine){ .vas = vas, .kvm_fd = -1, .vm_fd = -1 };
	pthread_mutex_init(&machine->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&machine->changed, &attr);
	pthread_condattr_destroy(&attr);
	sigaction(KICK_SIGNAL, &action, NULL);
	err = vm_create(machine);
	if (!err)
		err = vas_kvm_attach(vas, machine->vm_fd, &options, &machine->kvm);
	if (!err)
		err = modules_attach(machine);
	for (i = 0; i < nr_vcpus && !err; i++) {
		err = vcpu_create(machine, i);
		if (!err)
			err = vas_kvm_add_vcpu(machine->kvm, machine->vcpus[i].fd);
	}
	if (err)
		machine_destroy(machine);
	return err;
}

void machine_destroy(struct machine *machine)
{
	int size = ioctl(machine->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	unsigned int i;

	vas_module_detach(machine->module);
	vas_kvm_detach(machine->kvm);
	for (i = 0; i < machine->nr_vcpus; i++) {
		if (machine->vcpus[i].run)
			munmap(machine->vcpus[i].run, size);
		close(machine->vcpus[i].fd);
	}
	if (machine->vm_fd >= 0)
		close(machine->vm_fd);
	if (machine->kvm_fd >= 0)
		close(machine->kvm_fd);
	pthread_cond_destroy(&machine->changed);
	pthread_mutex_destroy(&machine->lock);
}

int machine_enter_at(struct machine *machine, uint64_t entry, uint64_t info)
{
	const struct kvm_segment code = { .limit = UINT32_MAX,
					  .selector = 8,
					  .type = 11,
					  .present = 1,
					  .db = 1,
					  .s = 1,
					  .g = 1 };
	const struct kvm_regs regs = { .rip = entry, .rflags = 2, .rbx = info, .rsi = info };
	struct kvm_segment data = code;
	struct kvm_sregs sregs;
	int fd = machine->vcpus[0].fd;

	if (ioctl(fd, KVM_GET_SREGS, &sregs))
		return -errno;
	data.type = 3;
	data.selector = 16;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.ss = data;
	sregs.fs = sregs.gs = data;
	sregs.cr0 |= 1; /* protected mode */
	if (ioctl(fd, KVM_SET_SREGS, &sregs) || ioctl(fd, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

int machine_start(struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_vcpus; i++) {
		struct vcpu *vcpu = &machine->vcpus[i];
		int err = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);

		if (err)
			return -err;
		vcpu->started = 1;
	}
	return 0;
}

void machine_stop(struct machine *machine, int status)
{
	pthread_mutex_lock(&machine->lock);
	if (!machine->stopped)
		machine->status = status;
	machine->stopped = 1;
	vcpus_kick(machine);
	pthread_cond_broadcast(&machine->changed);
	pthread_mutex_unlock(&machine->lock);
}

int machine_wait(struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_vcpus; i++)
		if (machine->vcpus[i].started)
			pthread_join(machine->vcpus[i].thread, NULL);
	return machine->status;
}

static int vcpus_are_out(const struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_vcpus; i++)
		if (machine->vcpus[i].in_range)
			return 0;
	return 1;
}

void machine_pause(void *priv)
{
	struct machine *machine = priv;

	pthread_mutex_lock(&machine->lock);
	machine->pauses++;
	vcpus_kick(machine);
	pthread_mutex_unlock(&machine->lock);
}

int machine_is_paused(void *priv)
{
	struct machine *machine = priv;
	int are_out;

	pthread_mutex_lock(&machine->lock);
	are_out = vcpus_are_out(machine);
	pthread_mutex_unlock(&machine->lock);
	return are_out;
}

void machine_resume(void *priv)
{
	struct machine *machine = priv;

	pthread_mutex_lock(&machine->lock);
	machine->pauses--;
	pthread_cond_broadcast(&machine->changed);
	pthread_mutex_unlock(&machine->lock);
}

static int vcpus_are_idle(const struct machine *machine)
{
	unsigned int i;

	for (i = 0; i < machine->nr_vcpus; i++)
		if (machine->vcpus[i].in_range || machine->vcpus[i].is_busy)
			return 0;
	return 1;
}

static int wait_idle(struct machine *machine, uint64_t timeout_ns)
{
	struct timespec until;
	uint64_t ns;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	ns = until.tv_nsec + timeout_ns;
	until.tv_sec += ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	pthread_mutex_lock(&machine->lock);
	while (!vcpus_are_idle(machine) && !machine->stopped && !err)
		err = -pthread_cond_timedwait(&machine->changed, &machine->lock, &until);
	if (machine->stopped)
		err = -ESHUTDOWN;
	pthread_mutex_unlock(&machine->lock);
	return err == -ETIMEDOUT ? -EBUSY : err;
}

int machine_settle(struct machine *machine, uint64_t timeout_ns)
{
	int err = wait_idle(machine, timeout_ns);
	unsigned int i;

	for (i = 0; i < machine->nr_vcpus && !err; i++)
		err = vcpu_settle(&machine->vcpus[i]);
	if (!err)
		err = wait_idle(machine,
				0); /* an exit that KVM had left may have stopped the machine */
	return err;
}
