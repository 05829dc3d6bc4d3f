// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "bare_kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_CPUID 256

static int kvm_open(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int bare_vm_create(void)
{
	int kvm_fd = kvm_open(), vm_fd;

	if (kvm_fd < 0)
		return kvm_fd;
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (vm_fd < 0)
		vm_fd = -errno;
	close(kvm_fd);
	return vm_fd;
}

int bare_slot_add(int vm_fd, uint32_t slot, uint64_t gpa, uint64_t size, void *hva)
{
	const struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	return ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static int vcpu_set_cpuid(int vcpu_fd)
{
	struct kvm_cpuid2 *cpuid;
	int kvm_fd = kvm_open(), err = 0;

	if (kvm_fd < 0)
		return kvm_fd;
	cpuid = calloc(1, sizeof(*cpuid) + MAX_CPUID * sizeof(*cpuid->entries));
	if (!cpuid) {
		err = -ENOMEM;
	} else {
		cpuid->nent = MAX_CPUID;
		if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) ||
		    ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid))
			err = -errno;
	}
	free(cpuid);
	close(kvm_fd);
	return err;
}

static int vcpu_set_entry(int vcpu_fd, uint64_t entry)
{
	const struct kvm_regs regs = { .rip = entry, .rflags = 2 };
	struct kvm_segment segment = {
		.limit = UINT32_MAX, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs))
		return -errno;
	segment.selector = 8;
	sregs.cs = segment;
	segment.selector = 16;
	segment.type = 3;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = segment;
	sregs.cr0 |= 1;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) || ioctl(vcpu_fd, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

int bare_vcpu_create(int vm_fd, uint64_t entry)
{
	int vcpu_fd, err;

	if (ioctl(vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000ul) || ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0))
		return -errno;
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0)
		return -errno;
	err = vcpu_set_cpuid(vcpu_fd);
	if (!err)
		err = vcpu_set_entry(vcpu_fd, entry);
	if (err)
		close(vcpu_fd);
	return err ? err : vcpu_fd;
}

int bare_vcpu_run(int vcpu_fd, uint16_t exit_port)
{
	/* The part that is looked at is in its first page. */
	struct kvm_run *run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);

	if (run == MAP_FAILED)
		return -errno;
	for (;;) {
		if (ioctl(vcpu_fd, KVM_RUN, 0))
			return -errno;
		if (run->exit_reason != KVM_EXIT_IO)
			return -EIO;
		if (run->io.port == exit_port)
			return 0;
	}
}
