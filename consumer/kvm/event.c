// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Events attached to KVM: doorbells as ioeventfds, interrupts as irqfds. */
#include "consumer/kvm/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int doorbell_set(struct vas_kvm *kvm, const struct kvm_event *attached, int on)
{
	struct kvm_ioeventfd ioeventfd = {
		.addr = attached->event.addr,
		.len = attached->event.len,
		.datamatch = attached->event.data,
		.fd = attached->fd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	if (attached->event.flags & VAS_EVENT_PIO)
		ioeventfd.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (attached->event.flags & VAS_EVENT_DATAMATCH)
		ioeventfd.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	return ioctl(kvm->vm_fd, KVM_IOEVENTFD, &ioeventfd) ? -errno : 0;
}

static int irq_set(struct vas_kvm *kvm, const struct kvm_event *attached, int on)
{
	struct kvm_irqfd irqfd = {
		.fd = attached->fd,
		.gsi = attached->event.gsi,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	if (on && attached->event.flags & VAS_EVENT_RESAMPLE) {
		irqfd.flags |= KVM_IRQFD_FLAG_RESAMPLE;
		irqfd.resamplefd = attached->resample_fd;
	}
	return ioctl(kvm->vm_fd, KVM_IRQFD, &irqfd) ? -errno : 0;
}

static int attached_set(struct vas_kvm *kvm, const struct kvm_event *attached, int on)
{
	if (attached->event.kind == VAS_EVENT_DOORBELL)
		return doorbell_set(kvm, attached, on);
	return irq_set(kvm, attached, on);
}

static void attached_free(struct kvm_event *attached)
{
	if (attached->fd >= 0)
		close(attached->fd);
	if (attached->resample_fd >= 0)
		close(attached->resample_fd);
	free(attached);
}

static int fd_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy >= 0 ?
		       copy :
		       vas_error_set(-errno, "cannot duplicate an eventfd: %s", strerror(errno));
}

/* The event's eventfds as duplicates, or -errno with the error set. */
static int attached_fds_get(struct vas *vas, struct kvm_event *attached)
{
	int fd = vas_event_fd(vas, attached->event.id);

	attached->fd = fd < 0 ? fd : fd_dup(fd);
	if (attached->fd < 0 || !(attached->event.flags & VAS_EVENT_RESAMPLE))
		return attached->fd < 0 ? attached->fd : 0;
	fd = vas_event_resample_fd(vas, attached->event.id);
	attached->resample_fd = fd < 0 ? fd : fd_dup(fd);
	return attached->resample_fd < 0 ? attached->resample_fd : 0;
}

static int attached_new(struct vas *vas, uint32_t id, struct kvm_event **attached)
{
	struct kvm_event *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return vas_error_set(-ENOMEM, "no memory");
	t->fd = t->resample_fd = -1;
	err = vas_event_find(vas, id, &t->event);
	if (!err)
		err = attached_fds_get(vas, t);
	if (err)
		attached_free(t);
	else
		*attached = t;
	return err;
}

static struct kvm_event **find_event(struct vas_kvm *kvm, uint32_t id)
{
	struct kvm_event **link = &kvm->events;

	while (*link && (*link)->event.id != id)
		link = &(*link)->next;
	return link;
}

/* KVM would take an interrupt that no route can ever lead to. */
static int gsi_is_possible(const struct vas_kvm *kvm, const struct kvm_event *attached)
{
	return attached->event.kind != VAS_EVENT_IRQ ||
	       attached->event.gsi < (uint32_t)vas_kvm_capability(kvm, KVM_CAP_IRQ_ROUTING);
}

/* Route first, then the irqfd; the doorbell needs no route. */
static int attached_enter(struct vas_kvm *kvm, struct kvm_event *attached)
{
	int message = !!(attached->event.flags & VAS_EVENT_MSI);
	int err;

	if (*find_event(kvm, attached->event.id))
		return -EEXIST;
	if (!gsi_is_possible(kvm, attached))
		return -EINVAL;
	err = message ? vas_kvm_routes_init(kvm) : 0;
	if (err)
		return err;
	if (message && vas_kvm_gsi_is_routed(kvm, attached->event.gsi))
		return -EEXIST;
	attached->next = kvm->events;
	kvm->events = attached;
	err = message ? vas_kvm_routes_set(kvm, kvm->routes, kvm->nr_routes) : 0;
	if (err)
		goto err_unlink;
	err = attached_set(kvm, attached, 1);
	if (err)
		goto err_unroute;
	return 0;

err_unroute:
	kvm->events = attached->next;
	if (message)
		vas_kvm_routes_set(kvm, kvm->routes, kvm->nr_routes);
	return err;
err_unlink:
	kvm->events = attached->next;
	return err;
}

int vas_kvm_attach_event(struct vas_kvm *kvm, uint32_t event_id)
{
	struct kvm_event *attached = NULL;
	int err;

	err = attached_new(kvm->vas, event_id, &attached);
	if (err)
		return err;
	pthread_mutex_lock(&kvm->lock);
	err = attached_enter(kvm, attached);
	pthread_mutex_unlock(&kvm->lock);
	if (!err)
		return 0;
	attached_free(attached);
	return vas_error_set(err, "KVM refuses event %u: %s", event_id, strerror(-err));
}

/* Out of KVM and out of the list: what is left to be freed. */
static struct kvm_event *attached_leave(struct vas_kvm *kvm, struct kvm_event **link)
{
	struct kvm_event *attached = *link;

	attached_set(kvm, attached, 0);
	*link = attached->next;
	if (attached->event.flags & VAS_EVENT_MSI)
		vas_kvm_routes_set(kvm, kvm->routes, kvm->nr_routes);
	return attached;
}

int vas_kvm_detach_event(struct vas_kvm *kvm, uint32_t event_id)
{
	struct kvm_event **link, *attached = NULL;

	pthread_mutex_lock(&kvm->lock);
	link = find_event(kvm, event_id);
	if (*link)
		attached = attached_leave(kvm, link);
	pthread_mutex_unlock(&kvm->lock);
	if (!attached)
		return vas_error_set(-ENOENT, "event %u is not tied", event_id);
	attached_free(attached);
	return 0;
}

void vas_kvm_events_clean(struct vas_kvm *kvm)
{
	pthread_mutex_lock(&kvm->lock);
	while (kvm->events)
		attached_free(attached_leave(kvm, &kvm->events));
	pthread_mutex_unlock(&kvm->lock);
}
