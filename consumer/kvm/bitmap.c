// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* KVM's dirty log by bitmap, a memslot at a time. */
#include "consumer/kvm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define WORD_SIZE (VAS_LOG_PAGES_PER_WORD << VAS_PAGE_SHIFT)

/* KVM holds its lock while it write-protects what one call clears: so many words at once. */
#define CLEAR_WORDS 1024u

int vas_kvm_bitmap_init(struct vas_kvm *kvm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 };

	/* Not KVM_DIRTY_LOG_INITIALLY_SET: a first harvest shall tell what was written, not all. */
	cap.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	if (vas_kvm_capability(kvm, cap.cap) & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		kvm->manual_protect = !ioctl(kvm->vm_fd, KVM_ENABLE_CAP, &cap);
	return 0;
}

static int bitmap_reserve(struct vas_kvm *kvm, size_t words)
{
	uint64_t *bitmap;

	if (words <= kvm->bitmap_words)
		return 0;
	bitmap = realloc(kvm->bitmap, words * sizeof(*bitmap));
	if (!bitmap)
		return -ENOMEM;
	kvm->bitmap = bitmap;
	kvm->bitmap_words = words;
	return 0;
}

/* Into the vas's log, whose words begin at multiples of 64 pages, wherever the memslot begins. */
static void words_mark(struct vas_kvm *kvm, uint64_t gpa, size_t words)
{
	unsigned int shift = (gpa >> VAS_PAGE_SHIFT) % VAS_LOG_PAGES_PER_WORD;
	uint64_t carry = 0, bits;
	size_t i;

	gpa -= (uint64_t)shift << VAS_PAGE_SHIFT;
	for (i = 0; i < words; i++, gpa += WORD_SIZE) {
		bits = kvm->bitmap[i] << shift | carry;
		carry = shift ? kvm->bitmap[i] >> (VAS_LOG_PAGES_PER_WORD - shift) : 0;
		if (bits)
			vas_mark_dirty_word(kvm->vas, gpa, bits);
	}
	if (carry)
		vas_mark_dirty_word(kvm->vas, gpa, carry);
}

static int words_are_clear(const uint64_t *words, size_t nr)
{
	while (nr && !words[nr - 1])
		nr--;
	return !nr;
}

/* Write-protect again what was dirty, where it was. */
static int slot_clear(struct vas_kvm *kvm, uint32_t number, size_t words)
{
	uint64_t pages = kvm->slots[number].size >> VAS_PAGE_SHIFT;
	size_t i, nr;

	for (i = 0; i < words; i += nr) {
		uint64_t first = i * VAS_LOG_PAGES_PER_WORD;
		struct kvm_clear_dirty_log clear = {
			.slot = vas_kvm_slot_id(kvm, number),
			.first_page = first,
			.dirty_bitmap = &kvm->bitmap[i],
		};

		nr = words - i < CLEAR_WORDS ? words - i : CLEAR_WORDS;
		if (words_are_clear(&kvm->bitmap[i], nr))
			continue;
		/* A multiple of 64, or what is left. */
		clear.num_pages = i + nr < words ? nr * VAS_LOG_PAGES_PER_WORD : pages - first;
		if (ioctl(kvm->vm_fd, KVM_CLEAR_DIRTY_LOG, &clear))
			return -errno;
	}
	return 0;
}

int vas_kvm_bitmap_harvest_slot(struct vas_kvm *kvm, uint32_t number)
{
	const struct kvm_slot *slot = &kvm->slots[number];
	uint64_t pages = slot->size >> VAS_PAGE_SHIFT;
	size_t words = (pages + VAS_LOG_PAGES_PER_WORD - 1) / VAS_LOG_PAGES_PER_WORD;
	struct kvm_dirty_log log = { .slot = vas_kvm_slot_id(kvm, number) };
	int err;

	err = bitmap_reserve(kvm, words);
	if (err)
		return err;
	log.dirty_bitmap = kvm->bitmap;
	if (ioctl(kvm->vm_fd, KVM_GET_DIRTY_LOG, &log))
		return -errno;
	/* Marked before it is cleared: what fails in between is reported twice, never lost. */
	words_mark(kvm, slot->gpa, words);
	return kvm->manual_protect ? slot_clear(kvm, number, words) : 0;
}

int vas_kvm_bitmap_harvest(struct vas_kvm *kvm)
{
	uint32_t i;
	int err;

	for (i = 0; i < kvm->nr_touched; i++) {
		const struct kvm_slot *slot = &kvm->slots[i];

		if (slot->absent || !(slot->flags & KVM_MEM_LOG_DIRTY_PAGES))
			continue;
		err = vas_kvm_bitmap_harvest_slot(kvm, i);
		if (err)
			return err;
	}
	return 0;
}
