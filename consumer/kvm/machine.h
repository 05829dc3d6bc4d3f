/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the KVM binder keeps of one VM, and which file does what with it:
 *
 *	kvm.c		attach and detach, the ops
 *	layout.c	prepare, commit, abort
 *	slot.c		memslots, by number and by gpa
 *	map.c		KVM's own mapping of the files
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

#define NO_SLOT UINT32_MAX

/* How a memslot's memory came to be at its hva. */
enum kvm_map_kind {
	KVM_MAP_LOCAL, /* the owner's own memory */
	KVM_MAP_FILE,  /* part of the mapping of the whole backing */
	KVM_MAP_ALONE, /* a mapping of its own */
};

struct kvm_map {
	char *hva;
	enum kvm_map_kind kind;
	uint32_t backing;
};

struct kvm_slot {
	uint64_t gpa;
	uint64_t size; /* 0: the number is free */
	struct kvm_map map;
	uint32_t readonly;
	uint32_t flags;	 /* KVM_MEM_*, as KVM has them */
	uint32_t absent; /* KVM could not take it: vas_kvm_status() */
	uint32_t next;	 /* number + 1 of the next with this hash, or of the next free one */
};

/* A region on its way in: between prepare and commit or abort. */
struct kvm_pending {
	struct kvm_slot slot;
	uint32_t number; /* NO_SLOT: KVM gets it at commit, after something else went */
};

/* The mapping of a whole backing. */
struct kvm_file {
	char *base;
	uint64_t size;
	uint32_t users;
	int too_large; /* it could not be had: map each region alone */
};

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

	struct kvm_file files[VAS_MAX_BACKINGS];

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

int vas_kvm_layout_prepare(struct vas_consumer *consumer, const struct vas_delta *delta);
void vas_kvm_layout_commit(struct vas_consumer *consumer, const struct vas_delta *delta);
void vas_kvm_layout_abort(struct vas_consumer *consumer, const struct vas_delta *delta);

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
/* Dirty logging on or off for all; undone if it fails half-way. */
int vas_kvm_slots_track(struct vas_kvm *kvm, int on);

/* Memory for a region; to be put back when its memslot is gone. With the lock held. */
int vas_kvm_map_get(struct vas_kvm *kvm, const struct vas_region *region, struct kvm_map *map);
void vas_kvm_map_put(struct vas_kvm *kvm, const struct kvm_map *map, uint64_t size);

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
