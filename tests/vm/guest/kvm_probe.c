// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Does /dev/kvm run a guest? A few instructions in real mode: double a number that the host has put
 * in memory, store it next to it, say it on a port, halt.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	CODE = 0x1000,
	NUMBER = 0x1800,
	PORT = 0x10,
	RAM_LEN = 0x2000,
};

/* clang-format off */
static const unsigned char code[] = {
	0xa0, 0x00, 0x18, /* mov al, [NUMBER] */
	0x00, 0xc0,       /* add al, al */
	0xa2, 0x01, 0x18, /* mov [NUMBER + 1], al */
	0xe6, PORT,       /* out PORT, al */
	0xf4,             /* hlt */
};
/* clang-format on */

struct machine {
	int vm;
	int vcpu;
	unsigned char *ram;
	struct kvm_run *run;
};

static void fail(const char *what)
{
	printf("kvm_probe: %s: %s\n", what, errno ? strerror(errno) : "not as expected");
	exit(1);
}

static int need(int result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

static int open_kvm(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0) {
		printf("no /dev/kvm: %s\n", strerror(errno));
		exit(77);
	}
	if (need(ioctl(kvm, KVM_GET_API_VERSION, 0), "API version") != KVM_API_VERSION)
		fail("API version");
	return kvm;
}

static void make_machine(int kvm, struct machine *m)
{
	struct kvm_userspace_memory_region slot = { .memory_size = RAM_LEN };
	int run_len = need(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "size of the run page");

	m->vm = need(ioctl(kvm, KVM_CREATE_VM, 0), "create a VM");
	m->ram = mmap(NULL, RAM_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m->ram == MAP_FAILED)
		fail("RAM");
	slot.userspace_addr = (unsigned long)m->ram;
	need(ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &slot), "memory slot");
	m->vcpu = need(ioctl(m->vm, KVM_CREATE_VCPU, 0), "create a vCPU");
	m->run = mmap(NULL, run_len, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	if (m->run == MAP_FAILED)
		fail("run page");
}

static void enter_real_mode(int vcpu)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_sregs sregs;

	need(ioctl(vcpu, KVM_GET_SREGS, &sregs), "get segment registers");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	need(ioctl(vcpu, KVM_SET_SREGS, &sregs), "set segment registers");
	need(ioctl(vcpu, KVM_SET_REGS, &regs), "set registers");
}

static void run_until(struct machine *m, unsigned int reason, const char *what)
{
	need(ioctl(m->vcpu, KVM_RUN, 0), what);
	errno = 0;
	if (m->run->exit_reason != reason) {
		printf("kvm_probe: exit reason %u instead of %u\n", m->run->exit_reason, reason);
		fail(what);
	}
}

int main(void)
{
	struct machine m;

	make_machine(open_kvm(), &m);
	enter_real_mode(m.vcpu);
	memcpy(m.ram + CODE, code, sizeof(code));
	m.ram[NUMBER] = 21;
	run_until(&m, KVM_EXIT_IO, "run to the port");
	if (m.run->io.port != PORT || ((unsigned char *)m.run)[m.run->io.data_offset] != 42)
		fail("what comes out of the port");
	run_until(&m, KVM_EXIT_HLT, "run to the halt");
	if (m.ram[NUMBER + 1] != 42)
		fail("what the guest stored");
	printf("a guest has run: in to 21, out came 42\n");
	return 0;
}
