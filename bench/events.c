// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A request of a guest to a device in another process, and back: doorbell, memory, interrupt. The
 * guest and its VMM are one process, this one is the device. The limit is KVM_RUN with an ioeventfd
 * and an irqfd around a shared mapping, and nothing else. The guest checks each answer.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vas/access.h>
#include <vas/event.h>

#include "bare_kvm.h"
#include "examples/echo.h"
#include "examples/tinyvmm_machine.h"
#include "harness.h"
#include "tests/guests/mailbox.h"

#define DOORBELL 1
#define IRQ	 2

extern const char guest_echo[];
extern const uint64_t guest_echo_size;

/* The device's side of one guest. */
struct device {
	pid_t vmm;
	/* The limit's. */
	struct echo_page *page;
	int doorbell_fd;
	int irq_fd;
	/* libvas's. */
	struct vas *vas;
};

static const struct guest_mailbox mailbox = {
	.rounds = UINT32_MAX,
	.seed = 1,
	.buffer = ECHO_GPA,
	.doorbell = ECHO_PORT,
	.doorbell_len = 4,
	.doorbell_pio = 1,
	.gsi = ECHO_GSI,
};

static void answer(struct echo_page *page)
{
	uint32_t nr = __atomic_load_n(&page->request_nr, __ATOMIC_ACQUIRE);

	page->answer = echo_answer(page->request, nr);
	__atomic_store_n(&page->answer_nr, nr, __ATOMIC_RELEASE);
}

/* The measured loops end early only if something is wrong, which the VMM's death tells. */
static uint64_t run_limit(void *ctx, uint64_t nr)
{
	struct device *device = ctx;
	eventfd_t count;

	for (uint64_t i = 0; i < nr; i++) {
		if (eventfd_read(device->doorbell_fd, &count))
			return i;
		answer(device->page);
		if (eventfd_write(device->irq_fd, 1))
			return i;
	}
	return device->page->answer_nr;
}

static uint64_t run_vas(void *ctx, uint64_t nr)
{
	struct device *device = ctx;
	struct vas *vas = device->vas;
	struct echo_page *page = NULL;

	for (uint64_t i = 0; i < nr; i++) {
		if (vas_doorbell_wait(vas, DOORBELL, UINT64_MAX) < 0 || vas_enter(vas))
			return i;
		page = vas_translate(vas, ECHO_GPA, sizeof(*page), VAS_PROT_WRITE);
		if (page) {
			answer(page);
			vas_mark(vas, ECHO_GPA, sizeof(*page));
		}
		vas_leave(vas);
		if (!page || vas_irq_raise(vas, IRQ))
			return i;
	}
	return nr;
}

/* ---- the VMMs, each in its process ---------------------------------------------------------- */

/* A VMM ends with its guest, whose endless rounds end only with a wrong answer. */
static void vmm_died(int signal)
{
	static const char text[] = "events: a guest has ended: a wrong answer, or no KVM\n";

	(void)signal;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(2);
	_exit(1);
}

static int limit_vmm(int memfd, int doorbell_fd, int irq_fd)
{
	struct kvm_ioeventfd doorbell = {
		.addr = ECHO_PORT, .len = 4, .fd = doorbell_fd, .flags = KVM_IOEVENTFD_FLAG_PIO
	};
	struct kvm_irqfd irq = { .fd = (uint32_t)irq_fd, .gsi = ECHO_GSI };
	char *ram = mmap(NULL, GUEST_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	int vm_fd = bare_vm_create(), vcpu_fd;

	if (ram == MAP_FAILED || vm_fd < 0 || bare_slot_add(vm_fd, 0, 0, GUEST_RAM, ram))
		return 1;
	vcpu_fd = bare_vcpu_create(vm_fd, GUEST_LOAD);
	if (vcpu_fd < 0 || ioctl(vm_fd, KVM_IOEVENTFD, &doorbell) || ioctl(vm_fd, KVM_IRQFD, &irq))
		return 1;
	memcpy(ram + GUEST_LOAD, guest_echo, guest_echo_size);
	memcpy(ram + GUEST_MAILBOX, &mailbox, sizeof(mailbox));
	return bare_vcpu_run(vcpu_fd, GUEST_PORT_EXIT) ? 1 : 0;
}

static void vmm_io(struct machine *machine, const struct machine_io *io)
{
	if (io->is_port && io->addr == GUEST_PORT_EXIT)
		machine_stop(machine, 1);
}

static int vas_vmm(int sock)
{
	const struct vas_options options = { .limit = GUEST_RAM };
	const struct vas_region ram = { .size = GUEST_RAM };
	const struct vas_event events[] = {
		{ .kind = VAS_EVENT_DOORBELL,
		  .id = DOORBELL,
		  .addr = ECHO_PORT,
		  .len = 4,
		  .flags = VAS_EVENT_PIO },
		{ .kind = VAS_EVENT_IRQ, .id = IRQ, .gsi = ECHO_GSI },
	};
	static struct machine machine;
	struct vas *vas;

	if (vas_create(&options, &vas) || vas_region_add(vas, &ram, NULL) ||
	    machine_create(&machine, vas, 1, 0))
		return 1;
	machine.io = vmm_io;
	for (int i = 0; i < 2; i++)
		if (vas_event_add(vas, &events[i]) ||
		    vas_kvm_attach_event(machine.kvm, events[i].id))
			return 1;
	if (vas_write(vas, GUEST_LOAD, guest_echo, guest_echo_size, NULL) ||
	    vas_write(vas, GUEST_MAILBOX, &mailbox, sizeof(mailbox), NULL) ||
	    machine_enter_at(&machine, GUEST_LOAD, 0) || vas_send_fds(vas, sock, 0) ||
	    machine_start(&machine))
		return 1;
	return machine_wait(&machine);
}

static pid_t fork_vmm(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static int limit_start(struct device *device)
{
	int memfd = memfd_create("bare", MFD_CLOEXEC);
	char *ram;

	device->doorbell_fd = eventfd(0, EFD_CLOEXEC);
	device->irq_fd = eventfd(0, EFD_CLOEXEC);
	if (memfd < 0 || device->doorbell_fd < 0 || device->irq_fd < 0 ||
	    ftruncate(memfd, GUEST_RAM))
		return -errno;
	ram = mmap(NULL, GUEST_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (ram == MAP_FAILED)
		return -errno;
	device->page = (struct echo_page *)(ram + ECHO_GPA);
	device->vmm = fork_vmm();
	if (!device->vmm)
		_exit(limit_vmm(memfd, device->doorbell_fd, device->irq_fd));
	close(memfd);
	return device->vmm < 0 ? -errno : 0;
}

static int vas_start(struct device *device)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	device->vmm = fork_vmm();
	if (!device->vmm)
		_exit(vas_vmm(pair[1]));
	close(pair[1]);
	err = device->vmm < 0 ? -errno : vas_recv_fds(pair[0], 0, &device->vas);
	close(pair[0]);
	return err;
}

static int run(struct bench_session *session)
{
	struct bench_case bcase = { .name = "round-trip" };
	struct device limit = { 0 }, vas = { 0 };
	int err = 0;

	if (!bench_wants(session, bcase.name))
		return 0;
	if (access("/dev/kvm", R_OK | W_OK)) {
		bench_skip(session, "all", "there is no /dev/kvm that may be used");
		exit(77);
	}
	signal(SIGCHLD, vmm_died);
	err = limit_start(&limit);
	if (!err)
		err = vas_start(&vas);
	if (!err) {
		bench_case_add(&bcase, BENCH_LIMIT, run_limit, &limit);
		bench_case_add(&bcase, "vas", run_vas, &vas);
		err = bench_measure(session, &bcase);
	}
	signal(SIGCHLD, SIG_IGN);
	if (limit.vmm > 0)
		kill(limit.vmm, SIGKILL);
	if (vas.vmm > 0)
		kill(vas.vmm, SIGKILL);
	vas_unbind(vas.vas);
	return err;
}

static const struct bench bench = {
	.name = "events",
	.summary = "A guest's request to a device in another process and back, by KVM.",
	.run = run,
};

int main(int argc, char **argv)
{
	return bench_main(argc, argv, &bench);
}
