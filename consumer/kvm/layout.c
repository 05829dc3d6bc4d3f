// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * KVM follows the layout. A region that comes where nothing is becomes a memslot in prepare, where
 * it may fail; one that takes the place of another waits for commit, because KVM wants the old one
 * gone first.
 */
#include "consumer/kvm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* KVM counts a memslot's pages in 31 bits. */
#define MAX_SLOT_SIZE (((1ull << 31) - 1) << VAS_PAGE_SHIFT)

static int region_check(const struct vas_kvm *kvm, const struct vas_region *region)
{
	if (region->size > MAX_SLOT_SIZE)
		return vas_error_set(-EFBIG,
				     "region at %#llx: KVM's memslots end below 8 TiB, split it",
				     (unsigned long long)region->gpa);
	if (region->flags & VAS_REGION_READONLY && !kvm->can_readonly)
		return vas_error_set(-EOPNOTSUPP,
				     "region at %#llx: this KVM has no read-only memory",
				     (unsigned long long)region->gpa);
	return 0;
}

static struct kvm_slot slot_for(const struct vas_kvm *kvm, const struct vas_region *region)
{
	struct kvm_slot slot = { .gpa = region->gpa, .size = region->size };

	/* Nobody writes to read-only memory, and no log has what is a device's. */
	slot.unlogged = !!(region->flags & (VAS_REGION_READONLY | VAS_REGION_DEVICE));
	if (region->flags & VAS_REGION_READONLY)
		slot.flags = KVM_MEM_READONLY;
	else if (kvm->tracking && !slot.unlogged)
		slot.flags = KVM_MEM_LOG_DIRTY_PAGES;
	return slot;
}

/* Into KVM at once, if nothing is in its way: what can fail, fails here. */
static int pending_add_early(struct vas_kvm *kvm, struct kvm_pending *pending)
{
	uint32_t number = vas_kvm_slot_take(kvm);
	int err;

	/* There will be a number once something has gone: the caller counted. */
	if (number == NO_SLOT)
		return 0;
	err = vas_kvm_slot_set(kvm, number, &pending->slot);
	if (err) {
		vas_kvm_slot_release(kvm, number);
		return vas_error_set(err, "KVM refuses memory at %#llx: %s",
				     (unsigned long long)pending->slot.gpa, strerror(-err));
	}
	vas_kvm_slot_enter(kvm, number, &pending->slot);
	pending->number = number;
	return 0;
}

static int pending_add(struct vas_kvm *kvm, const struct vas_region *region, int late)
{
	struct kvm_pending *pending = &kvm->pending[kvm->nr_pending];
	int err;

	err = region_check(kvm, region);
	if (err)
		return err;
	pending->number = NO_SLOT;
	pending->slot = slot_for(kvm, region);
	err = vas_file_map_get(kvm->maps, region, 0, &pending->slot.map);
	if (err)
		return err;
	if (!late)
		err = pending_add_early(kvm, pending);
	if (err) {
		vas_file_map_put(kvm->maps, &pending->slot.map);
		return err;
	}
	kvm->nr_pending++;
	return 0;
}

static void pending_undo(struct vas_kvm *kvm)
{
	while (kvm->nr_pending) {
		struct kvm_pending *pending = &kvm->pending[--kvm->nr_pending];

		if (pending->number != NO_SLOT)
			vas_kvm_slot_remove(kvm, pending->number);
		else
			vas_file_map_put(kvm->maps, &pending->slot.map);
	}
	free(kvm->pending);
	kvm->pending = NULL;
}

/*
 * Does the region overlap one that is removed and still there? *at only moves up: both lists are
 * sorted.
 */
static int is_late(const struct vas_delta *delta, const struct vas_region *region, size_t *at)
{
	const struct vas_region *removed = delta->removed;

	while (*at < delta->nr_removed && removed[*at].gpa + removed[*at].size <= region->gpa)
		(*at)++;
	return *at < delta->nr_removed && removed[*at].gpa < region->gpa + region->size;
}

int vas_kvm_layout_go_on(struct vas_kvm *kvm)
{
	const struct vas_delta *delta = kvm->delta;
	size_t end =
		kvm->at + KVM_SEGMENT < delta->nr_added ? kvm->at + KVM_SEGMENT : delta->nr_added;
	int err = 0;

	for (; !err && kvm->at < end; kvm->at++) {
		const struct vas_region *region = &delta->added[kvm->at];

		err = pending_add(kvm, region, is_late(delta, region, &kvm->late_at));
	}
	if (err)
		pending_undo(kvm);
	else if (kvm->at < delta->nr_added)
		return vas_kvm_under_way(kvm, KVM_WORK_PREPARE);
	return err;
}

static int prepare_locked(struct vas_kvm *kvm, const struct vas_delta *delta)
{
	if (kvm->nr_used - delta->nr_removed + delta->nr_added > kvm->nr_slots)
		return vas_error_set(-ENOSPC,
				     "the layout has more regions than KVM has memslots here (%u)",
				     kvm->nr_slots);
	kvm->delta = delta;
	kvm->at = kvm->late_at = 0;
	if (!delta->nr_added)
		return 0;
	kvm->pending = calloc(delta->nr_added, sizeof(*kvm->pending));
	if (!kvm->pending)
		return vas_error_set(-ENOMEM, "no memory for %zu memslots", delta->nr_added);
	return vas_kvm_layout_go_on(kvm);
}

int vas_kvm_layout_prepare(struct vas_consumer *consumer, const struct vas_delta *delta,
			   uint64_t deadline_ns)
{
	struct vas_kvm *kvm = kvm_of(consumer);
	int err;

	(void)deadline_ns; /* nobody else to tell it to: it is looked at between two pieces */
	pthread_mutex_lock(&kvm->lock);
	err = prepare_locked(kvm, delta);
	pthread_mutex_unlock(&kvm->lock);
	return err;
}

void vas_kvm_layout_abort(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct vas_kvm *kvm = kvm_of(consumer);

	(void)delta;
	pthread_mutex_lock(&kvm->lock);
	pending_undo(kvm);
	pthread_mutex_unlock(&kvm->lock);
}

/* What a memslot has logged goes with it, and part of its region may stay. */
static void removed_harvest(struct vas_kvm *kvm, uint32_t number)
{
	const struct kvm_slot *slot = &kvm->slots[number];

	if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES) || kvm->dirty_log == VAS_KVM_DIRTY_RING)
		return;
	if (vas_kvm_bitmap_harvest_slot(kvm, number))
		vas_mark_dirty(kvm->vas, slot->gpa, slot->size);
}

static void removed_commit(struct vas_kvm *kvm, const struct vas_delta *delta)
{
	size_t i;

	if (kvm->tracking && delta->nr_removed && kvm->dirty_log == VAS_KVM_DIRTY_RING)
		vas_kvm_ring_harvest(kvm);
	for (i = 0; i < delta->nr_removed; i++) {
		uint32_t number = vas_kvm_slot_at(kvm, delta->removed[i].gpa);

		if (number == NO_SLOT)
			continue;
		removed_harvest(kvm, number);
		vas_kvm_slot_remove(kvm, number);
	}
}

/* 0, or -errno: KVM could not take all of it. */
static int pending_commit(struct vas_kvm *kvm)
{
	size_t i;

	for (i = 0; i < kvm->nr_pending; i++) {
		struct kvm_pending *pending = &kvm->pending[i];

		if (pending->number != NO_SLOT)
			continue;
		pending->number = vas_kvm_slot_take(kvm);
		pending->slot.absent = 1;
		vas_kvm_slot_enter(kvm, pending->number, &pending->slot);
		kvm->nr_absent++;
	}
	free(kvm->pending);
	kvm->pending = NULL;
	kvm->nr_pending = 0;
	return vas_kvm_slots_retry(kvm);
}

int vas_kvm_layout_replaces(const struct vas_kvm *kvm)
{
	size_t i;

	/* pending is ours alone between prepare and commit: the change lock is held. */
	for (i = 0; i < kvm->nr_pending; i++)
		if (kvm->pending[i].number == NO_SLOT)
			return 1;
	return 0;
}

static int tell_absent(const struct vas_kvm *kvm, int err)
{
	return err ? vas_error_set(err, "KVM refuses memory of %u regions: %s", kvm->nr_absent,
				   strerror(-err)) :
		     0;
}

int vas_kvm_layout_commit(struct vas_consumer *consumer, const struct vas_delta *delta)
{
	struct vas_kvm *kvm = kvm_of(consumer);
	int err;

	pthread_mutex_lock(&kvm->lock);
	removed_commit(kvm, delta);
	err = tell_absent(kvm, pending_commit(kvm));
	pthread_mutex_unlock(&kvm->lock);
	return err;
}

int vas_kvm_layout_retry(struct vas_consumer *consumer)
{
	struct vas_kvm *kvm = kvm_of(consumer);
	int err;

	pthread_mutex_lock(&kvm->lock);
	err = tell_absent(kvm, vas_kvm_slots_retry(kvm));
	pthread_mutex_unlock(&kvm->lock);
	return err;
}
