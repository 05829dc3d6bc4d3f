// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Doorbells and interrupts: what exists, and this handle's eventfds of it. */
#include "lib/events/event.h"

#include <errno.h>
#include <string.h>

#include "lib/base/cancel.h"
#include "lib/base/error.h"
#include "lib/handle/handle.h"
#include "lib/base/name.h"

static struct vas_event_entry *entries(const struct vas *vas)
{
	return vas_extent(vas, VAS_EXT_EVENTS);
}

static uint32_t nr_entries(const struct vas *vas)
{
	return vas->sb.nr_events < VAS_MAX_EVENTS ? vas->sb.nr_events : VAS_MAX_EVENTS;
}

/* ---- entries ------------------------------------------------------------------------------ */

/* What is wrong with a doorbell's fields; NULL: nothing. */
static const char *doorbell_fault(const struct vas_event_entry *e)
{
	uint64_t last;

	if (e->flags & ~(VAS_EVENT_PIO | VAS_EVENT_DATAMATCH))
		return "a doorbell has no flags but VAS_EVENT_PIO and VAS_EVENT_DATAMATCH";
	if (e->gsi)
		return "a doorbell has no gsi";
	if (e->len != 0 && e->len != 1 && e->len != 2 && e->len != 4 && e->len != 8)
		return "len is 0, 1, 2, 4 or 8";
	if (__builtin_add_overflow(e->addr, e->len ? e->len - 1 : 0, &last))
		return "addr + len is beyond 2^64";
	if (e->flags & VAS_EVENT_PIO && (e->len == 8 || last > UINT16_MAX))
		return "a port has up to 4 bytes below 2^16";
	if (!(e->flags & VAS_EVENT_DATAMATCH))
		return e->data ? "data needs VAS_EVENT_DATAMATCH" : NULL;
	if (!e->len)
		return "VAS_EVENT_DATAMATCH needs a len";
	return e->len < 8 && e->data >> (8 * e->len) ? "data has more than len bytes" : NULL;
}

static const char *irq_fault(const struct vas_event_entry *e)
{
	if (e->flags & ~(VAS_EVENT_MSI | VAS_EVENT_RESAMPLE))
		return "an interrupt has no flags but VAS_EVENT_MSI and VAS_EVENT_RESAMPLE";
	if (e->len)
		return "an interrupt has no len";
	if (!(e->flags & VAS_EVENT_MSI))
		return e->addr || e->data ? "addr and data need VAS_EVENT_MSI" : NULL;
	/* A message has no level, and nobody acknowledges it. */
	if (e->flags & VAS_EVENT_RESAMPLE)
		return "VAS_EVENT_MSI and VAS_EVENT_RESAMPLE exclude each other";
	return e->data > UINT32_MAX ? "data of a message has 32 bits" : NULL;
}

static const char *entry_fault(const struct vas_event_entry *e)
{
	if (!e->id)
		return "the id must not be 0";
	if (!memchr(e->name, 0, sizeof(e->name)))
		return "the name does not end within its field";
	switch (e->kind) {
	case VAS_EVENT_DOORBELL:
		return doorbell_fault(e);
	case VAS_EVENT_IRQ:
		return irq_fault(e);
	default:
		return "kind is VAS_EVENT_DOORBELL or VAS_EVENT_IRQ";
	}
}

/*
 * A private copy of an entry that is in use, whole and valid. An owner that died in the middle of a
 * change, or a hostile peer, leaves one that never is.
 */
static int entry_copy(const struct vas_event_entry *shared, struct vas_event_entry *copy)
{
	int tries;

	for (tries = 0; tries < 100; tries++) {
		/* Pairs with the release in entry_publish(). */
		uint32_t sequence = __atomic_load_n(&shared->sequence, __ATOMIC_ACQUIRE);

		if (sequence & 1)
			continue;
		memcpy(copy, shared, sizeof(*copy));
		/* The copy is taken before the second look: pairs with the fence there. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&shared->sequence, __ATOMIC_RELAXED) == sequence)
			return !entry_fault(copy);
	}
	return 0;
}

/*
 * The owner's copy goes out; the sequence is odd while the rest changes. It is the one field that
 * is taken from the shared entry: whoever tampers with it makes readers miss the event, no more.
 */
static void entry_publish(struct vas_event_entry *shared, struct vas_event_entry *own)
{
	own->sequence = __atomic_load_n(&shared->sequence, __ATOMIC_RELAXED) | 1;
	__atomic_store_n(&shared->sequence, own->sequence, __ATOMIC_RELAXED);
	/* Odd before the rest changes: pairs with the fence in entry_copy(). */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(shared, own, sizeof(*shared));
	__atomic_store_n(&shared->sequence, own->sequence + 1, __ATOMIC_RELEASE);
}

static void entry_to_event(const struct vas_event_entry *e, struct vas_event *event)
{
	*event = (struct vas_event){
		.kind = e->kind,
		.id = e->id,
		.flags = e->flags,
		.len = e->len,
		.addr = e->addr,
		.data = e->data,
		.gsi = e->gsi,
	};
	memcpy(event->name, e->name, sizeof(event->name));
}

/* The valid entry for which match() holds: its index, or -ENOENT. */
static int entry_find(const struct vas *vas,
		      int (*match)(const struct vas_event_entry *, const void *), const void *key,
		      struct vas_event_entry *copy)
{
	uint32_t i;

	for (i = 0; i < nr_entries(vas); i++)
		if (entry_copy(&entries(vas)[i], copy) && match(copy, key))
			return i;
	return -ENOENT;
}

static int id_matches(const struct vas_event_entry *e, const void *key)
{
	return e->id == *(const uint32_t *)key;
}

static int name_matches(const struct vas_event_entry *e, const void *key)
{
	return *e->name && !strcmp(e->name, key);
}

ssize_t vas_events(struct vas *vas, struct vas_event *events, size_t nr)
{
	struct vas_event_entry copy;
	size_t found = 0;
	uint32_t i;

	for (i = 0; i < nr_entries(vas); i++) {
		if (!entry_copy(&entries(vas)[i], &copy))
			continue;
		if (found < nr)
			entry_to_event(&copy, &events[found]);
		found++;
	}
	return found;
}

int vas_event_exists(const struct vas *vas, uint32_t id)
{
	struct vas_event_entry copy;

	return entry_find(vas, id_matches, &id, &copy) >= 0;
}

int vas_event_exists_at(const struct vas *vas, uint32_t id, uint32_t *index)
{
	uint32_t i = __atomic_load_n(index, __ATOMIC_RELAXED);
	struct vas_event_entry copy;
	int found;

	if (i < nr_entries(vas) && __atomic_load_n(&entries(vas)[i].id, __ATOMIC_RELAXED) == id)
		return 1;
	found = entry_find(vas, id_matches, &id, &copy);
	if (found >= 0)
		__atomic_store_n(index, (uint32_t)found, __ATOMIC_RELAXED);
	return found >= 0;
}

uint32_t vas_event_count(struct vas *vas)
{
	return vas_events(vas, NULL, 0);
}

int vas_event_find(struct vas *vas, uint32_t id, struct vas_event *event)
{
	struct vas_event_entry copy;

	if (entry_find(vas, id_matches, &id, &copy) < 0)
		return vas_error_set(-ENOENT, "there is no event with id %u", id);
	entry_to_event(&copy, event);
	return 0;
}

int vas_event_find_by_name(struct vas *vas, const char *name, struct vas_event *event)
{
	struct vas_event_entry copy;

	if (entry_find(vas, name_matches, name, &copy) < 0)
		return vas_error_set(-ENOENT, "there is no event named \"%s\"", name);
	entry_to_event(&copy, event);
	return 0;
}

/* ---- the owner's changes ------------------------------------------------------------------- */

static int event_to_entry(const struct vas_event *event, struct vas_event_entry *e)
{
	const char *fault;

	*e = (struct vas_event_entry){
		.kind = event->kind,
		.id = event->id,
		.flags = event->flags,
		.len = event->len,
		.addr = event->addr,
		.data = event->data,
		.gsi = event->gsi,
	};
	/* Nothing of what follows its end. */
	memcpy(e->name, event->name, strnlen(event->name, sizeof(e->name)));
	fault = entry_fault(e);
	return fault ? vas_error_set(-EINVAL, "event %u: %s", event->id, fault) : 0;
}

/* Where the new entry goes, or why it cannot. */
static int own_place(struct vas *vas, const struct vas_event_entry *e)
{
	const struct vas_event_entry *own = vas->events.own;
	int place = -ENOSPC;
	uint32_t i;

	for (i = nr_entries(vas); i-- > 0;) {
		if (own[i].kind == VAS_EVENT_NONE)
			place = i;
		else if (own[i].id == e->id)
			return vas_error_set(-EEXIST, "event id %u is taken", e->id);
		else if (*e->name && !strcmp(own[i].name, e->name))
			return vas_error_set(-EEXIST, "event name \"%s\" is taken", e->name);
	}
	return place >= 0 ? place : vas_error_set(-ENOSPC, "no room for another event");
}

static int own_find(const struct vas *vas, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < nr_entries(vas); i++)
		if (vas->events.own[i].kind != VAS_EVENT_NONE && vas->events.own[i].id == id)
			return i;
	return -ENOENT;
}

static int event_add_locked(struct vas *vas, const struct vas_event_entry *e)
{
	int place, err;

	place = own_place(vas, e);
	if (place < 0)
		return place;
	err = vas_event_fds_new(&vas->events, e->id, !!(e->flags & VAS_EVENT_RESAMPLE));
	if (err)
		return err;
	vas->events.own[place] = *e;
	entry_publish(&entries(vas)[place], &vas->events.own[place]);
	return 0;
}

int vas_event_add(struct vas *vas, const struct vas_event *event)
{
	NO_CANCEL;
	struct vas_event_entry e;
	int err;

	if (vas->role != VAS_ROLE_OWNER)
		return vas_error_set(-EPERM, "only the owner declares events");
	err = event_to_entry(event, &e);
	if (err)
		return err;
	pthread_mutex_lock(&vas->lock);
	err = event_add_locked(vas, &e);
	pthread_mutex_unlock(&vas->lock);
	return err;
}

static int event_change_locked(struct vas *vas, struct vas_event_entry *e)
{
	struct vas_event_entry *own;
	int i = own_find(vas, e->id);

	if (i < 0)
		return vas_error_set(-ENOENT, "there is no event with id %u", e->id);
	own = &vas->events.own[i];
	if (own->kind != e->kind || (own->flags ^ e->flags) & VAS_EVENT_RESAMPLE)
		return vas_error_set(-EINVAL, "event %u: its kind and eventfds stay", e->id);
	memcpy(e->name, own->name, sizeof(e->name));
	*own = *e;
	entry_publish(&entries(vas)[i], own);
	return 0;
}

int vas_event_change(struct vas *vas, const struct vas_event *event)
{
	NO_CANCEL;
	struct vas_event_entry e;
	int err;

	if (vas->role != VAS_ROLE_OWNER)
		return vas_error_set(-EPERM, "only the owner changes events");
	err = event_to_entry(event, &e);
	if (err)
		return err;
	pthread_mutex_lock(&vas->lock);
	err = event_change_locked(vas, &e);
	pthread_mutex_unlock(&vas->lock);
	return err;
}

static void own_withdraw(struct vas *vas, uint32_t i)
{
	memset(&vas->events.own[i], 0, sizeof(vas->events.own[i]));
	entry_publish(&entries(vas)[i], &vas->events.own[i]);
}

int vas_event_remove(struct vas *vas, uint32_t id)
{
	NO_CANCEL;
	int i;

	if (vas->role != VAS_ROLE_OWNER)
		return vas_error_set(-EPERM, "only the owner withdraws events");
	pthread_mutex_lock(&vas->lock);
	i = own_find(vas, id);
	if (i >= 0) {
		own_withdraw(vas, i);
		vas_event_fds_drop(&vas->events, id);
	}
	pthread_mutex_unlock(&vas->lock);
	return i >= 0 ? 0 : vas_error_set(-ENOENT, "there is no event with id %u", id);
}

void vas_event_adopt(struct vas *vas)
{
	struct vas_event_entry *own = vas->events.own;
	uint32_t i;

	memset(own, 0, sizeof(vas->events.own));
	for (i = 0; i < nr_entries(vas); i++) {
		struct vas_event_entry copy;

		if (entry_copy(&entries(vas)[i], &copy) && own_place(vas, &copy) >= 0)
			own[i] = copy;
		else
			own_withdraw(vas, i);
	}
}
