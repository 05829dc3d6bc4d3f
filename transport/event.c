// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "transport/event.h"

#include <poll.h>

int transport_event_open(const struct transport *transport, struct transport_event *event)
{
	int err;

	event->is_attached = false;
	vas_event_remove(transport->vas, event->event.id);
	err = vas_event_add(transport->vas, &event->event);
	if (err)
		return err;
	event->fd = vas_event_fd(transport->vas, event->event.id);
	return 0;
}

void transport_event_close(const struct transport *transport, struct transport_event *event)
{
	transport_event_detach(transport, event);
	vas_event_remove(transport->vas, event->event.id);
	event->fd = -1;
}

int transport_event_attach(const struct transport *transport, struct transport_event *event)
{
	int err;

	transport_event_detach(transport, event);
	err = vas_event_change(transport->vas, &event->event);
	if (err || !transport->kvm)
		return err;
	err = vas_kvm_attach_event(transport->kvm, event->event.id);
	event->is_attached = !err;
	return err;
}

void transport_event_detach(const struct transport *transport, struct transport_event *event)
{
	if (event->is_attached)
		vas_kvm_detach_event(transport->kvm, event->event.id);
	event->is_attached = false;
}

bool transport_event_is_pending(const struct transport_event *event)
{
	struct pollfd fd = { .fd = event->fd, .events = POLLIN };

	return poll(&fd, 1, 0) == 1 && fd.revents & POLLIN;
}
