/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the KVM binder keeps of one VM, and which file does what with it:
 *
 *	kvm.c		attach and detach, the ops
 *	layout.c	prepare, commit, abort
 *	slot.c		memslots, by number and by gpa
 *	bitmap.c	dirty log by bitmap
 *	ring.c		dirty log by ring
 *	event.c	ioeventfds, irqfds
 *	route.c	interrupt routes
 */
#ifndef BIND_KVM_MACHINE_H
#define BIND_KVM_MACHINE_H

#include <linux/kvm.h>
#include <pthread.h>

#include <vas/event.h>
#include <vas/kvm.h>

#include "consumer/file_map.h"

#define NO_SLOT UINT32_MAX

/* Memslots between two looks at the deadline: each may cost KVM a millisecond. */
#define KVM_SEGMENT 64u

struct kvm_slot {
	uint64_t gpa;
	uint64_t size; /* 0: the number is free */
	struct vas_file_map map;
	uint32_t unlogged; /* nobody writes it, or nobody is to know */
	uint32_t flags;	   /* KVM_MEM_*, as KVM has them */
	uint32_t absent;   /* KVM could not take it: we are out of step */
	uint32_t next;	   /* number + 1 of the next with this hash, or of the next free one */
};

/* A region on its way in: between prepare and commit or abort. */
struct kvm_pending {
	struct kvm_slot slot;
	uint32_t number; /* NO_SLOT: KVM gets it at commit, after something else went */
};

/* What is under way, for finish to go on with. */
enum kvm_work { KVM_WORK_NONE, KVM_WORK_PREPARE, KVM_WORK_TRACK, KVM_WORK_PAUSE };

struct kvm_vcpu_ring {
	int vcpu_fd;
	struct kvm_dirty_gfn *gfns;
	uint32_t next; /* runs freely */
	struct kvm_vcpu_ring *following;
};

/*
 * KVM finds what it is to detach by the same fields and the same eventfd. The event may be gone
 * from the vas by then, so all of it is kept here, the fds as duplicates.
 */
struct kvm_event {
	struct vas_event event;
	int fd;
	int resample_fd; /* or -1 */
	struct kvm_event *next;
};

struct vas_kvm {
	struct vas_consumer consumer; /* first: the ops cast */
	struct vas_kvm_options options;
	int vm_fd;
	uint32_t dirty_log;    /* VAS_KVM_DIRTY_* */
	int manual_protect;    /* the bitmap is cleared by KVM_CLEAR_DIRTY_LOG */
	int can_readonly;      /* KVM_CAP_READONLY_MEM */
	uint32_t ring_entries; /* of each vCPU's ring, a power of two */
	struct vas *vas;

	struct vas_file_maps *maps;

	/* The step that is under way; for the thread that commits. */
	enum kvm_work work;
	int wake_fd; /* readable: there is more to do, or to be asked */
	int paused_for_layout;
	const struct vas_delta *delta;
	size_t at;	/* how far: in delta->added, or in slots */
	size_t late_at; /* in delta->removed */

	/* Everything below. Never held while calling pause(): a vCPU's thread may be waiting for
	 * it. */
	pthread_mutex_t lock;

	struct kvm_slot *slots; /* [nr_slots], by number - first_slot */
	uint32_t nr_slots;
	uint32_t nr_used;
	uint32_t nr_touched; /* numbers from here on were never used */
	uint32_t free;	     /* number + 1 of the first free one below nr_touched; 0: none */
	uint32_t nr_absent;
	uint32_t *heads; /* [nr_heads], a power of two: hash of the gpa to number + 1 */
	uint32_t nr_heads;

	struct kvm_pending *pending;
	size_t nr_pending;

	int tracking;
	uint64_t *bitmap;
	size_t bitmap_words;
	struct kvm_vcpu_ring *rings;

	struct kvm_event *events;
	struct kvm_irq_routing_entry *routes; /* the VMM's own, or those of the chips at reset */
	size_t nr_routes;
	int has_routes;
};

static inline struct vas_kvm *kvm_of(struct vas_consumer *consumer)
{
	return (struct vas_kvm *)consumer;
}

int vas_kvm_layout_prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
			   uint64_t deadline_ns);
int vas_kvm_layout_commit(struct vas_consumer *consumer, const struct vas_delta *delta);
void vas_kvm_layout_abort(struct vas_consumer *consumer, const struct vas_delta *delta);
int vas_kvm_layout_retry(struct vas_consumer *consumer);
/* A piece of what prepare has begun: as an op answers. With the lock held. */
int vas_kvm_layout_go_on(struct vas_kvm *kvm);
/* Something that is prepared takes the place of another: see vas_kvm_options. */
int vas_kvm_layout_replaces(const struct vas_kvm *kvm);

/* A piece is done and there is more: remember what of, and be called again. */
int vas_kvm_under_way(struct vas_kvm *kvm, enum kvm_work work);

/* What KVM calls a slot of ours. */
static inline uint32_t vas_kvm_slot_id(const struct vas_kvm *kvm, uint32_t number)
{
	return kvm->options.address_space << 16 | (kvm->options.first_slot + number);
}

/* A capability of the VM: its value, 0 if it is not there. */
int vas_kvm_capability(const struct vas_kvm *kvm, long capability);

/* Slots. All with the lock held. */
int vas_kvm_slots_init(struct vas_kvm *kvm, uint32_t nr_slots);
void vas_kvm_slots_clean(struct vas_kvm *kvm);
uint32_t vas_kvm_slot_take(struct vas_kvm *kvm);
void vas_kvm_slot_release(struct vas_kvm *kvm, uint32_t number);
void vas_kvm_slot_enter(struct vas_kvm *kvm, uint32_t number, const struct kvm_slot *slot);
uint32_t vas_kvm_slot_at(const struct vas_kvm *kvm, uint64_t gpa);
void vas_kvm_slot_remove(struct vas_kvm *kvm, uint32_t number);
/* Tell KVM; flags as KVM shall have them, size 0 to delete. */
int vas_kvm_slot_set(struct vas_kvm *kvm, uint32_t number, const struct kvm_slot *slot);
int vas_kvm_slot_delete(struct vas_kvm *kvm, uint32_t number);
int vas_kvm_slots_retry(struct vas_kvm *kvm);
/* Dirty logging for a piece of the slots from *at on, which moves up to nr_touched; off for all. */
int vas_kvm_slots_track(struct vas_kvm *kvm, size_t *at);
void vas_kvm_slots_untrack(struct vas_kvm *kvm);

/* Dirty pages into the vas's log. With the lock held. */
int vas_kvm_bitmap_init(struct vas_kvm *kvm);
int vas_kvm_bitmap_harvest_slot(struct vas_kvm *kvm, uint32_t number);
int vas_kvm_bitmap_harvest(struct vas_kvm *kvm);
int vas_kvm_ring_init(struct vas_kvm *kvm);
int vas_kvm_ring_harvest(struct vas_kvm *kvm);
void vas_kvm_rings_clean(struct vas_kvm *kvm);

/* Routes. With the lock held; set: these, and those of the attached events. */
int vas_kvm_routes_init(struct vas_kvm *kvm);
int vas_kvm_routes_set(struct vas_kvm *kvm, const struct kvm_irq_routing_entry *own, size_t nr_own);
int vas_kvm_gsi_is_routed(const struct vas_kvm *kvm, uint32_t gsi);

/* Detach everything. */
void vas_kvm_events_clean(struct vas_kvm *kvm);

#endif
