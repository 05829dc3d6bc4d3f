/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A device's doorbells and interrupts: events of the vas, which KVM knows as long as they lead
 * somewhere. While it does not, a doorbell is rung by whoever handles the guest's access, and an
 * interrupt's eventfd keeps its count: that is what a masked one is.
 */
#ifndef TRANSPORT_EVENT_H
#define TRANSPORT_EVENT_H

#include <stdbool.h>

#include <vas/event.h>
#include <vas/kvm.h>

/* Where they belong. */
struct transport {
	struct vas *vas;
	struct vas_kvm *kvm; /* NULL: nobody but the VMM itself looks at them */
};

struct transport_event {
	struct vas_event event;
	int fd; /* the vas's */
	bool is_attached;
};

/* Declare it; one with this id, which an owner before us has left, goes away first. -errno. */
int transport_event_open(const struct transport *transport, struct transport_event *event);
void transport_event_close(const struct transport *transport, struct transport_event *event);

/*
 * Have KVM know it, as event->event says now; or no more. -errno: it does not: what a guest says
 * makes no sense, or has its place.
 */
int transport_event_attach(const struct transport *transport, struct transport_event *event);
void transport_event_detach(const struct transport *transport, struct transport_event *event);

/* Whether it was raised, and nobody has taken that. */
bool transport_event_is_pending(const struct transport_event *event);

#endif
