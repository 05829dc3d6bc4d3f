// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Interrupts: by pin, by message, and level-triggered ones that are resampled. */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "echo_device.h"

#define ROUNDS	  100
#define MSI_ID	  3
#define MSI_GSI	  40
#define LAPIC_MSI 0xfee00000ull

static const struct vas_event pin = { .kind = VAS_EVENT_IRQ, .id = ECHO_IRQ_ID, .gsi = ECHO_GSI };

struct device {
	struct fixture f;
	pthread_t thread;
	/* After each answer; its result ends the device if it is not 0. */
	int (*raise)(struct device *device, uint32_t nr);
	int result;
	uint32_t nr_resampled;
};

static void *device_thread(void *arg)
{
	struct device *device = arg;
	uint32_t i;

	for (i = 0; i < ROUNDS && !device->result; i++) {
		int64_t nr = vas_doorbell_wait(device->f.vas, ECHO_DOORBELL_ID, TEST_HANG_NS);

		if (nr > 0)
			nr = echo_answer_one(device->f.vas);
		device->result = nr > 0 ? device->raise(device, nr) : (int)nr - !nr;
	}
	if (device->result)
		machine_stop(&device->f.machine, 99);
	return NULL;
}

static void device_run(struct device *device)
{
	device->f.box->rounds = ROUNDS;
	CHECK_EQ(pthread_create(&device->thread, NULL, device_thread, device), 0);
	fixture_start(&device->f);
	fixture_finish(&device->f);
	pthread_join(device->thread, NULL);
	CHECK_OK(device->result);
}

static int raise_pin(struct device *device, uint32_t nr)
{
	(void)nr;
	return vas_irq_raise(device->f.vas, ECHO_IRQ_ID);
}

TEST(interrupt_by_pin_arrives)
{
	static struct device device = { .raise = raise_pin };

	fixture_init(&device.f, 0);
	echo_init(&device.f, &pin);
	device_run(&device);
	fixture_clean(&device.f);
}

static int raise_in_turn(struct device *device, uint32_t nr)
{
	return vas_irq_raise(device->f.vas, nr % 2 ? MSI_ID : ECHO_IRQ_ID);
}

static void attach_message(struct fixture *f)
{
	/* Vector 0x2a, to the first processor. */
	const struct vas_event message = { .kind = VAS_EVENT_IRQ,
					   .id = MSI_ID,
					   .flags = VAS_EVENT_MSI,
					   .addr = LAPIC_MSI,
					   .data = 0x2a,
					   .gsi = MSI_GSI };

	fixture_attach_event(f, &message);
}

/* Both in turn: the route of the message leaves those of the pins alone. */
TEST(interrupt_by_message_arrives_and_pins_keep_their_routes)
{
	static struct device device = { .raise = raise_in_turn };

	fixture_init(&device.f, 0);
	echo_init(&device.f, &pin);
	attach_message(&device.f);
	device_run(&device);
	fixture_clean(&device.f);
}

TEST(routes_of_the_vmm_are_kept)
{
	static struct device device = { .raise = raise_in_turn };
	struct kvm_irq_routing_entry route = { .gsi = ECHO_GSI, .type = KVM_IRQ_ROUTING_IRQCHIP };

	fixture_init(&device.f, 0);
	echo_init(&device.f, &pin);
	attach_message(&device.f);
	/* The VMM wires the line to another pin. */
	route.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
	route.u.irqchip.pin = 9;
	CHECK_OK(vas_kvm_set_routes(device.f.machine.kvm, &route, 1));
	device.f.box->gsi = 9;
	device_run(&device);
	fixture_clean(&device.f);
}

static int raise_level(struct device *device, uint32_t nr)
{
	struct pollfd fd = { .events = POLLIN };
	eventfd_t count;
	int err = raise_pin(device, nr);

	fd.fd = vas_event_resample_fd(device->f.vas, ECHO_IRQ_ID);
	if (err || fd.fd < 0)
		return err ? err : fd.fd;
	if (poll(&fd, 1, TEST_HANG_MS) != 1 || eventfd_read(fd.fd, &count))
		return -ETIMEDOUT;
	device->nr_resampled += count;
	return 0;
}

/* The line stays up until the guest has acknowledged, and the device hears of each one. */
TEST(interrupt_by_level_is_resampled)
{
	static struct device device = { .raise = raise_level };
	struct vas_event level = pin;

	level.flags = VAS_EVENT_RESAMPLE;
	fixture_init(&device.f, 0);
	echo_init(&device.f, &level);
	device_run(&device);
	CHECK_EQ(device.nr_resampled, ROUNDS);
	fixture_clean(&device.f);
}

TEST(interrupt_that_kvm_cannot_route_is_refused)
{
	struct vas_event event = pin;
	struct fixture f;

	fixture_init(&f, 0);
	event.gsi = 1 << 20;
	CHECK_OK(vas_event_add(f.vas, &event));
	CHECK_EQ(vas_kvm_attach_event(f.machine.kvm, event.id), -EINVAL);
	CHECK_HAS(vas_error(), "KVM refuses event");
	attach_message(&f);
	event.id = 4;
	event.gsi = MSI_GSI;
	event.flags = VAS_EVENT_MSI;
	CHECK_OK(vas_event_add(f.vas, &event));
	CHECK_EQ(vas_kvm_attach_event(f.machine.kvm, 4), -EEXIST);
	fixture_clean(&f);
}

TEST(interrupt_without_a_controller_is_refused)
{
	struct vas_kvm *kvm;
	struct fixture f;
	int vm_fd;

	fixture_init(&f, 0);
	vm_fd = ioctl(f.machine.kvm_fd, KVM_CREATE_VM, 0);
	CHECK_OK(vm_fd);
	CHECK_OK(vas_kvm_attach(f.vas, vm_fd, NULL, &kvm));
	CHECK_OK(vas_event_add(f.vas, &pin));
	CHECK_EQ(vas_kvm_attach_event(kvm, pin.id), -EINVAL);
	vas_kvm_detach(kvm);
	close(vm_fd);
	fixture_clean(&f);
}
