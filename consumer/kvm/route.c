// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The VM's interrupt routes. KVM takes them only as a whole: the VMM's own, and one for each
 * attached interrupt by message.
 */
#include "consumer/kvm/machine.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static struct kvm_irq_routing_entry chip_route(uint32_t gsi, uint32_t chip, uint32_t pin)
{
	struct kvm_irq_routing_entry entry = { .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP };

	entry.u.irqchip.irqchip = chip;
	entry.u.irqchip.pin = pin;
	return entry;
}

/* What the VM has by itself, if its interrupt chips are in the kernel. */
#if defined(__x86_64__)
#define MAX_CHIP_ROUTES (16 + KVM_IOAPIC_NUM_PINS)

static size_t chip_routes(struct kvm_irq_routing_entry *entries)
{
	size_t nr = 0;
	uint32_t gsi;

	for (gsi = 0; gsi < 16; gsi++)
		entries[nr++] = chip_route(
			gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, gsi % 8);
	for (gsi = 0; gsi < KVM_IOAPIC_NUM_PINS; gsi++)
		entries[nr++] = chip_route(gsi, KVM_IRQCHIP_IOAPIC, gsi);
	return nr;
}

static bool has_chips(const struct vas_kvm *kvm)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	return !ioctl(kvm->vm_fd, KVM_GET_IRQCHIP, &chip);
}
#else
/* arm64: a vGIC has one for each shared interrupt; one for more than it has does nothing. */
#define MAX_CHIP_ROUTES (1020 - 32)

static size_t chip_routes(struct kvm_irq_routing_entry *entries)
{
	uint32_t gsi;

	for (gsi = 0; gsi < MAX_CHIP_ROUTES; gsi++)
		entries[gsi] = chip_route(gsi, 0, gsi);
	return MAX_CHIP_ROUTES;
}

/* The VMM made it as a device of its own, which we do not know. */
static bool has_chips(const struct vas_kvm *kvm)
{
	(void)kvm;
	return true;
}
#endif

/* What came with the chips, and the first KVM_SET_GSI_ROUTING would wipe out. */
int vas_kvm_routes_init(struct vas_kvm *kvm)
{
	/* Without the chips in the kernel there was nothing. */
	if (kvm->has_routes || !has_chips(kvm))
		return 0;
	kvm->routes = calloc(MAX_CHIP_ROUTES, sizeof(*kvm->routes));
	if (!kvm->routes)
		return -ENOMEM;
	kvm->nr_routes = chip_routes(kvm->routes);
	kvm->has_routes = 1;
	return 0;
}

static struct kvm_irq_routing_entry message_route(const struct vas_event *event)
{
	struct kvm_irq_routing_entry entry = { .gsi = event->gsi, .type = KVM_IRQ_ROUTING_MSI };

	entry.u.msi.address_lo = event->addr;
	entry.u.msi.address_hi = event->addr >> 32;
	entry.u.msi.data = event->data;
	return entry;
}

static size_t nr_messages(const struct vas_kvm *kvm)
{
	const struct kvm_event *attached;
	size_t nr = 0;

	for (attached = kvm->events; attached; attached = attached->next)
		nr += !!(attached->event.flags & VAS_EVENT_MSI);
	return nr;
}

/* The whole of the VM's routes: these, and the messages'. */
int vas_kvm_routes_set(struct vas_kvm *kvm, const struct kvm_irq_routing_entry *own, size_t nr_own)
{
	size_t nr = nr_own + nr_messages(kvm);
	struct kvm_irq_routing *routing;
	const struct kvm_event *attached;
	int err = 0;

	routing = calloc(1, sizeof(*routing) + nr * sizeof(*routing->entries));
	if (!routing)
		return -ENOMEM;
	if (nr_own)
		memcpy(routing->entries, own, nr_own * sizeof(*own));
	routing->nr = nr_own;
	for (attached = kvm->events; attached; attached = attached->next)
		if (attached->event.flags & VAS_EVENT_MSI)
			routing->entries[routing->nr++] = message_route(&attached->event);
	if (ioctl(kvm->vm_fd, KVM_SET_GSI_ROUTING, routing))
		err = -errno;
	free(routing);
	return err;
}

int vas_kvm_set_routes(struct vas_kvm *kvm, const struct kvm_irq_routing_entry *entries, size_t nr)
{
	struct kvm_irq_routing_entry *copy = calloc(nr + 1, sizeof(*copy));
	int err;

	if (!copy)
		return vas_error_set(-ENOMEM, "no memory for %zu routes", nr);
	if (nr)
		memcpy(copy, entries, nr * sizeof(*copy));
	pthread_mutex_lock(&kvm->lock);
	err = vas_kvm_routes_set(kvm, copy, nr);
	if (!err) {
		struct kvm_irq_routing_entry *old = kvm->routes;

		kvm->routes = copy;
		kvm->nr_routes = nr;
		kvm->has_routes = 1;
		copy = old;
	}
	pthread_mutex_unlock(&kvm->lock);
	free(copy);
	return err ? vas_error_set(err, "KVM refuses the routes: %s", strerror(-err)) : 0;
}

int vas_kvm_gsi_is_routed(const struct vas_kvm *kvm, uint32_t gsi)
{
	const struct kvm_event *attached;
	size_t i;

	for (i = 0; i < kvm->nr_routes; i++)
		if (kvm->routes[i].gsi == gsi)
			return 1;
	for (attached = kvm->events; attached; attached = attached->next)
		if (attached->event.flags & VAS_EVENT_MSI && attached->event.gsi == gsi)
			return 1;
	return 0;
}
