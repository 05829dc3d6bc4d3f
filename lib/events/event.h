/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Events as a handle sees them: the entries in the control area are the owner's to write and say
 * what there is; the eventfds are this process's own and came from vas_event_add() or over a
 * socket.
 */
#ifndef LIB_EVENT_H
#define LIB_EVENT_H

#include "lib/handle/handle.h"

void vas_event_set_init(struct vas_event_set *set);
/* Close every eventfd. */
void vas_event_set_clean(struct vas_event_set *set);

/*
 * A new owner takes over the entries that the old one left: those that are whole and valid become
 * its own copy, the others are withdrawn. With the handle's lock held, or before it is shared.
 */
void vas_event_adopt(struct vas *vas);

/* How many events the control area names, and whether this is one of them. */
uint32_t vas_event_count(struct vas *vas);
int vas_event_exists(const struct vas *vas, uint32_t id);
/* The same for one that is looked up again and again: quick if the entry is where it was. */
int vas_event_exists_at(const struct vas *vas, uint32_t id, uint32_t *index);

/* Make the eventfd(s) of a new event; close all that there are of one. With the handle's lock held.
 */
int vas_event_fds_new(struct vas_event_set *set, uint32_t id, int resample);
void vas_event_fds_drop(struct vas_event_set *set, uint32_t id);

/* An eventfd on its way to another process. */
struct vas_event_fd_ref {
	uint32_t id;
	enum vas_event_which which;
	int fd; /* still the handle's */
};

/*
 * Every eventfd that this handle holds of events that still exist: their number, up to max. With
 * the handle's lock held.
 */
int vas_event_list_fds(struct vas *vas, struct vas_event_fd_ref *refs, size_t max);

/*
 * Take over an eventfd that was received, with the handle's lock held. On an error the fd is still
 * the caller's. -EPROTO: not an
 * eventfd, or no such `which`; -EEXIST: the handle has that one; -ENOSPC: too many events.
 */
int vas_event_accept(struct vas *vas, uint32_t id, int which, int fd);

#endif
