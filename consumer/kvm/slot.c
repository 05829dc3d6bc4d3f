// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Memslots: their numbers, what each holds, and the ioctl that tells KVM. */
#include "consumer/kvm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

int vas_kvm_slots_init(struct vas_kvm *kvm, uint32_t nr_slots)
{
	uint32_t nr_heads = 16;

	while (nr_heads < nr_slots)
		nr_heads *= 2;
	kvm->slots = calloc(nr_slots, sizeof(*kvm->slots));
	kvm->heads = calloc(nr_heads, sizeof(*kvm->heads));
	kvm->nr_slots = nr_slots;
	kvm->nr_heads = nr_heads;
	return kvm->slots && kvm->heads ? 0 : -ENOMEM;
}

void vas_kvm_slots_clean(struct vas_kvm *kvm)
{
	free(kvm->slots);
	free(kvm->heads);
}

uint32_t vas_kvm_slot_take(struct vas_kvm *kvm)
{
	uint32_t number;

	if (kvm->free) {
		number = kvm->free - 1;
		kvm->free = kvm->slots[number].next;
	} else if (kvm->nr_touched < kvm->nr_slots) {
		number = kvm->nr_touched++;
	} else {
		return NO_SLOT;
	}
	kvm->nr_used++;
	return number;
}

void vas_kvm_slot_release(struct vas_kvm *kvm, uint32_t number)
{
	memset(&kvm->slots[number], 0, sizeof(kvm->slots[number]));
	kvm->slots[number].next = kvm->free;
	kvm->free = number + 1;
	kvm->nr_used--;
}

static uint32_t *head_of(const struct vas_kvm *kvm, uint64_t gpa)
{
	uint64_t hash = (gpa >> VAS_PAGE_SHIFT) * 0x9e3779b97f4a7c15ull;

	return &kvm->heads[(hash >> 32) & (kvm->nr_heads - 1)];
}

void vas_kvm_slot_enter(struct vas_kvm *kvm, uint32_t number, const struct kvm_slot *slot)
{
	uint32_t *head = head_of(kvm, slot->gpa);

	kvm->slots[number] = *slot;
	kvm->slots[number].next = *head;
	*head = number + 1;
}

/* The slot that begins at gpa. No two do, for regions do not overlap. */
uint32_t vas_kvm_slot_at(const struct vas_kvm *kvm, uint64_t gpa)
{
	uint32_t at = *head_of(kvm, gpa);

	while (at && kvm->slots[at - 1].gpa != gpa)
		at = kvm->slots[at - 1].next;
	return at ? at - 1 : NO_SLOT;
}

static void slot_unhash(struct vas_kvm *kvm, uint32_t number)
{
	uint32_t *link = head_of(kvm, kvm->slots[number].gpa);

	while (*link != number + 1)
		link = &kvm->slots[*link - 1].next;
	*link = kvm->slots[number].next;
}

/*
 * The only place where KVM is told of memory. A VM with private memory would use
 * KVM_SET_USER_MEMORY_REGION2 here, with KVM_MEM_GUEST_MEMFD, and a guest_memfd and offset that
 * struct vas_file_map would carry beside the hva.
 */
static int region_set(struct vas_kvm *kvm, const struct kvm_userspace_memory_region *region)
{
	return ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, region) ? -errno : 0;
}

int vas_kvm_slot_set(struct vas_kvm *kvm, uint32_t number, const struct kvm_slot *slot)
{
	const struct kvm_userspace_memory_region region = {
		.slot = vas_kvm_slot_id(kvm, number),
		.flags = slot->flags,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)slot->map.hva,
	};

	return region_set(kvm, &region);
}

int vas_kvm_slot_delete(struct vas_kvm *kvm, uint32_t number)
{
	const struct kvm_userspace_memory_region region = { .slot = vas_kvm_slot_id(kvm, number) };

	return region_set(kvm, &region);
}

/* Out of KVM, out of the table, and its memory put back. */
void vas_kvm_slot_remove(struct vas_kvm *kvm, uint32_t number)
{
	struct kvm_slot slot = kvm->slots[number];

	if (slot.absent)
		kvm->nr_absent--;
	else
		vas_kvm_slot_delete(kvm, number); /* of a slot that exists: cannot fail */
	slot_unhash(kvm, number);
	vas_kvm_slot_release(kvm, number);
	vas_file_map_put(kvm->maps, &slot.map);
}

int vas_kvm_slots_retry(struct vas_kvm *kvm)
{
	uint32_t i;
	int err;

	for (i = 0; i < kvm->nr_touched && kvm->nr_absent; i++) {
		if (!kvm->slots[i].absent)
			continue;
		err = vas_kvm_slot_set(kvm, i, &kvm->slots[i]);
		if (err)
			return err;
		kvm->slots[i].absent = 0;
		kvm->nr_absent--;
	}
	return 0;
}

static int slot_set_flags(struct vas_kvm *kvm, uint32_t number, uint32_t flags)
{
	struct kvm_slot *slot = &kvm->slots[number];
	uint32_t before = slot->flags;
	int err;

	if (!slot->size || slot->unlogged || flags == before)
		return 0;
	slot->flags = flags;
	err = slot->absent ? 0 : vas_kvm_slot_set(kvm, number, slot);
	if (err)
		slot->flags = before;
	return err;
}

int vas_kvm_slots_track(struct vas_kvm *kvm, size_t *at)
{
	size_t end = *at + KVM_SEGMENT < kvm->nr_touched ? *at + KVM_SEGMENT : kvm->nr_touched;
	int err = 0;

	for (; !err && *at < end; ++*at)
		err = slot_set_flags(kvm, *at, kvm->slots[*at].flags | KVM_MEM_LOG_DIRTY_PAGES);
	return err;
}

void vas_kvm_slots_untrack(struct vas_kvm *kvm)
{
	uint32_t i;

	for (i = 0; i < kvm->nr_touched; i++)
		slot_set_flags(kvm, i, kvm->slots[i].flags & ~KVM_MEM_LOG_DIRTY_PAGES);
}
