// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Events tied to KVM: doorbells as ioeventfds, interrupts as irqfds. */
#include "bind/kvm_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int doorbell_set(struct vas_kvm *kvm, const struct kvm_tie *tie, int on)
{
	struct kvm_ioeventfd ioeventfd = {
		.addr = tie->event.addr,
		.len = tie->event.len,
		.datamatch = tie->event.data,
		.fd = tie->fd,
		.flags = on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	if (tie->event.flags & VAS_EVENT_PIO)
		ioeventfd.flags |= KVM_IOEVENTFD_FLAG_PIO;
	if (tie->event.flags & VAS_EVENT_DATAMATCH)
		ioeventfd.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	return ioctl(kvm->vm_fd, KVM_IOEVENTFD, &ioeventfd) ? -errno : 0;
}

static int irq_set(struct vas_kvm *kvm, const struct kvm_tie *tie, int on)
{
	struct kvm_irqfd irqfd = {
		.fd = tie->fd,
		.gsi = tie->event.gsi,
		.flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	if (on && tie->event.flags & VAS_EVENT_RESAMPLE) {
		irqfd.flags |= KVM_IRQFD_FLAG_RESAMPLE;
		irqfd.resamplefd = tie->resample_fd;
	}
	return ioctl(kvm->vm_fd, KVM_IRQFD, &irqfd) ? -errno : 0;
}

static int tie_set(struct vas_kvm *kvm, const struct kvm_tie *tie, int on)
{
	if (tie->event.kind == VAS_EVENT_DOORBELL)
		return doorbell_set(kvm, tie, on);
	return irq_set(kvm, tie, on);
}

static void tie_free(struct kvm_tie *tie)
{
	if (tie->fd >= 0)
		close(tie->fd);
	if (tie->resample_fd >= 0)
		close(tie->resample_fd);
	free(tie);
}

static int fd_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy >= 0 ? copy
			 : vas_fail(-errno, "cannot duplicate an eventfd: %s", strerror(errno));
}

/* The event's eventfds as duplicates, or -errno with the story told. */
static int tie_fds_get(struct vas *vas, struct kvm_tie *tie)
{
	int fd = vas_event_fd(vas, tie->event.id);

	tie->fd = fd < 0 ? fd : fd_dup(fd);
	if (tie->fd < 0 || !(tie->event.flags & VAS_EVENT_RESAMPLE))
		return tie->fd < 0 ? tie->fd : 0;
	fd = vas_event_resample_fd(vas, tie->event.id);
	tie->resample_fd = fd < 0 ? fd : fd_dup(fd);
	return tie->resample_fd < 0 ? tie->resample_fd : 0;
}

static int tie_new(struct vas *vas, uint32_t id, struct kvm_tie **tie)
{
	struct kvm_tie *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return vas_fail(-ENOMEM, "no memory");
	t->fd = t->resample_fd = -1;
	err = vas_event_by_id(vas, id, &t->event);
	if (!err)
		err = tie_fds_get(vas, t);
	if (err)
		tie_free(t);
	else
		*tie = t;
	return err;
}

static struct kvm_tie **tie_find(struct vas_kvm *kvm, uint32_t id)
{
	struct kvm_tie **link = &kvm->ties;

	while (*link && (*link)->event.id != id)
		link = &(*link)->next;
	return link;
}

/* KVM would take an interrupt that no route can ever lead to. */
static int gsi_is_possible(const struct vas_kvm *kvm, const struct kvm_tie *tie)
{
	return tie->event.kind != VAS_EVENT_IRQ ||
	       tie->event.gsi < (uint32_t)vas_kvm_capability(kvm, KVM_CAP_IRQ_ROUTING);
}

/* Route first, then the irqfd; the doorbell needs no route. */
static int tie_enter(struct vas_kvm *kvm, struct kvm_tie *tie)
{
	int message = !!(tie->event.flags & VAS_EVENT_MSI);
	int err;

	if (*tie_find(kvm, tie->event.id))
		return -EEXIST;
	if (!gsi_is_possible(kvm, tie))
		return -EINVAL;
	err = message ? vas_kvm_routes_init(kvm) : 0;
	if (err)
		return err;
	if (message && vas_kvm_gsi_is_routed(kvm, tie->event.gsi))
		return -EEXIST;
	tie->next = kvm->ties;
	kvm->ties = tie;
	err = message ? vas_kvm_routes_set(kvm, kvm->routes, kvm->nr_routes) : 0;
	if (err)
		goto err_unlink;
	err = tie_set(kvm, tie, 1);
	if (err)
		goto err_unroute;
	return 0;

err_unroute:
	kvm->ties = tie->next;
	if (message)
		vas_kvm_routes_set(kvm, kvm->routes, kvm->nr_routes);
	return err;
err_unlink:
	kvm->ties = tie->next;
	return err;
}

int vas_kvm_tie(struct vas_kvm *kvm, uint32_t event_id)
{
	struct kvm_tie *tie = NULL;
	int err;

	err = tie_new(kvm->vas, event_id, &tie);
	if (err)
		return err;
	pthread_mutex_lock(&kvm->lock);
	err = tie_enter(kvm, tie);
	pthread_mutex_unlock(&kvm->lock);
	if (!err)
		return 0;
	tie_free(tie);
	return vas_fail(err, "KVM refuses event %u: %s", event_id, strerror(-err));
}

/* Out of KVM and out of the list: what is left to be freed. */
static struct kvm_tie *tie_leave(struct vas_kvm *kvm, struct kvm_tie **link)
{
	struct kvm_tie *tie = *link;

	tie_set(kvm, tie, 0);
	*link = tie->next;
	if (tie->event.flags & VAS_EVENT_MSI)
		vas_kvm_routes_set(kvm, kvm->routes, kvm->nr_routes);
	return tie;
}

int vas_kvm_untie(struct vas_kvm *kvm, uint32_t event_id)
{
	struct kvm_tie **link, *tie = NULL;

	pthread_mutex_lock(&kvm->lock);
	link = tie_find(kvm, event_id);
	if (*link)
		tie = tie_leave(kvm, link);
	pthread_mutex_unlock(&kvm->lock);
	if (!tie)
		return vas_fail(-ENOENT, "event %u is not tied", event_id);
	tie_free(tie);
	return 0;
}

void vas_kvm_events_clean(struct vas_kvm *kvm)
{
	pthread_mutex_lock(&kvm->lock);
	while (kvm->ties)
		tie_free(tie_leave(kvm, &kvm->ties));
	pthread_mutex_unlock(&kvm->lock);
}
